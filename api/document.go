package api

import (
	"slices"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

//go:generate go test . -run TestOpenAPIIsFresh -update

// finish completes the document once all operations are there: answers may grow
// fields in later versions, so only request bodies are closed; and Retry-After is
// shown where it is sent.
func finish(document *huma.OpenAPI) {
	closed := []string{"TaskSubmission", "ResourceCost", "MailboxKey", "Batch", "Settlement", "Acknowledgement", "PoolChange",
		"NewFacility", "FacilityChange", "SpotImport", "NewSpot", "SpotChange", "NewVehicle", "PermitList", "NewStrategy",
		"PriceRequest", "NewAdjustment", "NewEntry", "WaitRequest", "NewPayment", "TicketAdjustment", "LostReport", "NewExit",
		"VoidRequest", "GateEventList", "GateEvent", "NewReservation", "OfferAcceptance", "WhatIfRequest"}
	for name, schema := range document.Components.Schemas.Map() {
		if !slices.Contains(closed, name) && schema.AdditionalProperties == false {
			schema.AdditionalProperties = nil
		}
	}
	for _, item := range document.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op != nil {
				retryHeaders(op)
			}
		}
	}
}

func retryHeaders(op *huma.Operation) {
	for status, response := range op.Responses {
		code, err := strconv.Atoi(status)
		if err != nil || code != statusOf(codeNotReady) && (code != statusOf("conflict") || op.OperationID != "submitTask") {
			continue
		}
		response.Headers = map[string]*huma.Param{"Retry-After": {
			Description: "Seconds after which trying again makes sense.", Schema: &huma.Schema{Type: huma.TypeInteger},
		}}
	}
}

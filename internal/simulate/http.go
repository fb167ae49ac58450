package simulate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/parkinglot/parkinglot/api/client"
)

// What is read of the answers.
type (
	ticket struct {
		TicketID  string   `json:"ticketId"`
		VehicleID string   `json:"vehicleId"`
		SpotIDs   []string `json:"spotIds"`
		Status    string   `json:"status"`
		Amount    *int64   `json:"amount"`
	}
	waiting struct {
		WaitingID string `json:"waitingId"`
		Status    string `json:"status"`
	}
	entered struct { // a ticket or a place in the line
		TicketID  string   `json:"ticketId"`
		VehicleID string   `json:"vehicleId"`
		SpotIDs   []string `json:"spotIds"`
		WaitingID string   `json:"waitingId"`
	}
	quote struct {
		Due int64 `json:"due"`
	}
	spot struct {
		SpotID         string `json:"spotId"`
		Kind           string `json:"kind"`
		Level          int64  `json:"level"`
		Row            int64  `json:"row"`
		Position       int64  `json:"position"`
		State          string `json:"state"`
		CurrentVehicle string `json:"currentVehicle"`
		TicketID       string `json:"ticketId"`
	}
	facility struct {
		Counts struct {
			Total    int64 `json:"total"`
			Occupied int64 `json:"occupied"`
			Reserved int64 `json:"reserved"`
		} `json:"counts"`
	}
	reconciliation struct {
		Tickets  int64             `json:"tickets"`
		Charged  int64             `json:"charged"`
		Paid     int64             `json:"paid"`
		Refunded int64             `json:"refunded"`
		Faults   []json.RawMessage `json:"faults"`
	}
	list[T any] struct {
		Items      []T    `json:"items"`
		NextCursor string `json:"nextCursor"`
	}
)

type fields map[string]any

// busyTries is how often a call is made that the server is too busy for.
const busyTries = 20

// send makes one call, again while the server is busy: every call of the simulation is
// safe to repeat.
func send[T any](ctx context.Context, api *client.Client, method, path string, body any) (T, error) {
	var zero T
	var encoded []byte
	if body != nil {
		var err error
		if encoded, err = json.Marshal(body); err != nil {
			return zero, fmt.Errorf("%s %s: %w", method, path, err)
		}
	}
	for try := 1; ; try++ {
		req, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(api.Server, "/")+path, bytes.NewReader(encoded))
		if err != nil {
			return zero, fmt.Errorf("%s %s: %w", method, path, err)
		}
		if body != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		for _, edit := range api.RequestEditors {
			if err := edit(ctx, req); err != nil {
				return zero, err
			}
		}
		value, err := client.Read[T](api.Client.Do(req)) //nolint:bodyclose // Read closes it
		if refused, ok := errors.AsType[*client.Error](err); !ok || refused.Problem.Status != http.StatusServiceUnavailable || try == busyTries {
			return value, err
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return zero, err
		}
	}
}

// all reads a list to its end.
func all[T any](ctx context.Context, api *client.Client, path string, query url.Values) ([]T, error) {
	var items []T
	query.Set("limit", "500")
	for {
		page, err := send[list[T]](ctx, api, http.MethodGet, path+"?"+query.Encode(), nil)
		if err != nil {
			return nil, err
		}
		items = append(items, page.Items...)
		if page.NextCursor == "" {
			return items, nil
		}
		query.Set("cursor", page.NextCursor)
	}
}

func codeOf(err error) string {
	if refused, ok := errors.AsType[*client.Error](err); ok {
		return refused.Problem.Code
	}
	return ""
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

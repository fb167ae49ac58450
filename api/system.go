package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5emb"

	"github.com/parkinglot/parkinglot/internal/domain"
)

// Health says that the program is there.
type Health struct {
	Status string `example:"ok" json:"status"`
}

type healthOutput struct {
	Body Health
}

func (s *server) systemRoutes(metrics http.Handler) {
	register(s, huma.Operation{
		OperationID: "health", Method: http.MethodGet, Path: "/healthz", Tags: []string{tagSystem},
		Summary: "Is it alive?", Description: "`200` as long as the process answers at all.",
	}, func(context.Context, *struct{}) (*healthOutput, error) {
		return &healthOutput{Body: Health{Status: "ok"}}, nil
	})
	register(s, huma.Operation{
		OperationID: "ready", Method: http.MethodGet, Path: "/readyz", Tags: []string{tagSystem},
		Summary: "Can it serve?", Description: "`503` with what keeps it from serving, one entry of `errors` a component.",
		Errors: []int{503},
	}, s.ready)
	if metrics != nil {
		s.mux.Handle("GET /metrics", metrics)
	}
	docs := v5emb.NewHandlerWithConfig(swgui.Config{
		Title: "Parking Lot API", SwaggerJSON: "/openapi.json", BasePath: "/docs/",
	})
	s.mux.Handle("GET /docs", docs)
	s.mux.Handle("GET /docs/", docs)
}

func (s *server) ready(ctx context.Context, _ *struct{}) (*healthOutput, error) {
	problems := s.service.Ready(ctx)
	if len(problems) == 0 {
		return &healthOutput{Body: Health{Status: "ready"}}, nil
	}
	notReady := domain.Errorf(codeNotReady, "Not ready: %s: %s", problems[0].Component, problems[0].Message)
	for _, p := range problems {
		notReady.Faults = append(notReady.Faults, domain.Fault{Location: p.Component, Message: p.Message})
	}
	return nil, notReady
}

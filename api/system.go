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
	Status   string          `enum:"ok,ready,degraded"                                       example:"ok"                    json:"status"`
	Problems []HealthProblem `doc:"What makes it degraded: it serves, and somebody should look." json:"problems,omitempty"`
}

// HealthProblem is one thing that an operator should look at.
type HealthProblem struct {
	Component string `example:"outbox postgres" json:"component"`
	Message   string `json:"message"`
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
		Summary: "Can it serve?",
		Description: "`503` with what keeps it from serving, one entry of `errors` a component. `200` with `degraded` and " +
			"`problems`: new tasks are taken, and something waits or differs (outcomes for a mailbox whose storage does not answer, a configuration that is not the stored one).",
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
	health, err := readiness(s.service.Ready(ctx))
	if err != nil {
		return nil, err
	}
	return &healthOutput{Body: health}, nil
}

// readiness tells problems: as an error when one of them keeps the program from serving.
func readiness(problems []Problem) (Health, error) {
	health := Health{Status: "ready"}
	var notReady *domain.Error
	for _, p := range problems {
		if p.Degraded {
			health.Status = "degraded"
			health.Problems = append(health.Problems, HealthProblem{Component: p.Component, Message: p.Message})
			continue
		}
		if notReady == nil {
			notReady = domain.Errorf(codeNotReady, "Not ready: %s: %s", p.Component, p.Message)
		}
		notReady.Faults = append(notReady.Faults, domain.Fault{Location: p.Component, Message: p.Message})
	}
	if notReady != nil {
		return Health{}, notReady
	}
	return health, nil
}

// Package telemetry is how an operator sees what the program does: structured
// logs and Prometheus metrics.
//
// Counters and histograms are fed by the scheduler after each turn and cost no
// query; gauges of pools are read from the backends when somebody scrapes, with
// a timeout. Labels are pool ids, backends, statuses, stable codes and route
// patterns: never tenants or task ids, whose number nobody bounds. Tracing is not
// done here.
package telemetry

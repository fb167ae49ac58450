-- name: InsertGateCall :execrows
INSERT INTO pl_gate_calls (gate_id, sequence, facility_id, kind, body_hash, status, answer, ticket_id, observed_at)
VALUES (@gate_id, @sequence, @facility_id, @kind, @body_hash, @status, @answer, @ticket_id, @observed_at)
ON CONFLICT DO NOTHING;

-- name: GetGateCall :one
SELECT g.* FROM pl_gate_calls AS g WHERE g.gate_id = @gate_id AND g.sequence = @sequence;

-- name: GateCalls :many
SELECT g.* FROM pl_gate_calls AS g
WHERE g.facility_id = @facility_id AND g.observed_at >= @from_at AND g.observed_at < @to_at
ORDER BY g.observed_at, g.gate_id, g.sequence;

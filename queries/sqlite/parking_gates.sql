-- name: InsertGateCall :execrows
INSERT INTO pl_gate_calls (gate_id, sequence, facility_id, kind, body_hash, status, answer, ticket_id, observed_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING;

-- name: GetGateCall :one
SELECT g.* FROM pl_gate_calls AS g WHERE g.gate_id = sqlc.arg(gate_id) AND g.sequence = sqlc.arg(sequence);

-- name: GateCalls :many
SELECT g.* FROM pl_gate_calls AS g
WHERE g.facility_id = sqlc.arg(facility_id) AND g.observed_at >= sqlc.arg(from_at) AND g.observed_at < sqlc.arg(to_at)
ORDER BY g.observed_at, g.gate_id, g.sequence;

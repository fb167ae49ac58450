-- name: InsertVehicle :execrows
INSERT INTO pl_vehicles (vehicle_id, body_hash, plate, jurisdiction, size, type, permits, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING;

-- name: GetVehicle :one
SELECT v.* FROM pl_vehicles AS v WHERE v.vehicle_id = sqlc.arg(vehicle_id);

-- name: GetVehicleByPlate :one
SELECT v.* FROM pl_vehicles AS v WHERE v.plate = sqlc.arg(plate) AND v.jurisdiction = sqlc.arg(jurisdiction);

-- name: SetPermits :execrows
UPDATE pl_vehicles SET permits = sqlc.arg(permits) WHERE vehicle_id = sqlc.arg(vehicle_id);

-- name: InsertStrategy :execrows
INSERT INTO pl_pricing_strategies (strategy_id, version, body_hash, spec, created_at)
VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING;

-- name: GetStrategy :one
-- Version 0: the newest.
SELECT p.* FROM pl_pricing_strategies AS p
WHERE p.strategy_id = sqlc.arg(strategy_id) AND (CAST(sqlc.arg(version) AS INTEGER) = 0 OR p.version = sqlc.arg(version))
ORDER BY p.version DESC
LIMIT 1;

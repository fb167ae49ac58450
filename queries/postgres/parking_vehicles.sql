-- name: InsertVehicle :execrows
INSERT INTO pl_vehicles (vehicle_id, body_hash, plate, jurisdiction, size, type, permits, created_at)
VALUES (@vehicle_id, @body_hash, @plate, @jurisdiction, @size, @type, @permits::text[], @created_at)
ON CONFLICT DO NOTHING;

-- name: GetVehicle :one
SELECT v.* FROM pl_vehicles AS v WHERE v.vehicle_id = @vehicle_id;

-- name: GetVehicleByPlate :one
SELECT v.* FROM pl_vehicles AS v WHERE v.plate = @plate AND v.jurisdiction = @jurisdiction;

-- name: SetPermits :execrows
UPDATE pl_vehicles SET permits = @permits::text[] WHERE vehicle_id = @vehicle_id;

-- name: InsertStrategy :execrows
INSERT INTO pl_pricing_strategies (strategy_id, version, body_hash, spec, created_at)
VALUES (@strategy_id, @version, @body_hash, @spec, @created_at)
ON CONFLICT DO NOTHING;

-- name: GetStrategy :one
-- Version 0: the newest.
SELECT p.* FROM pl_pricing_strategies AS p
WHERE p.strategy_id = @strategy_id AND (@version::integer = 0 OR p.version = @version)
ORDER BY p.version DESC
LIMIT 1;

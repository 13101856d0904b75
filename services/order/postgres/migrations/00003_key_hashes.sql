-- +goose Up
-- The key itself is the client's; what is kept, and sent with the event, is its SHA-256.
UPDATE idempotency_keys SET key = encode(sha256(convert_to(key, 'UTF8')), 'hex');

-- +goose Down
-- A hash cannot be undone: the keys are forgotten, as they are after a day anyway.
DELETE FROM idempotency_keys;

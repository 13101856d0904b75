-- +goose Up
-- How often the stock of a product was set by hand: the number of its latest
-- STOCK_ADJUSTED. A copy of an event, or one that this database has had, is known by it.
ALTER TABLE stock ADD COLUMN adjustments bigint NOT NULL DEFAULT 0 CHECK (adjustments >= 0);

-- What was set before there was an event for it: one adjustment for each product whose
-- stock is not the one of 00002 minus the reservations. A new database has none.
WITH seed (product_id, available) AS (VALUES
    ('coffee-beans',   1000::bigint),
    ('green-tea',       800),
    ('lotus-tea',       300),
    ('phin-filter',     500),
    ('paper-filters',  2000),
    ('condensed-milk', 1500),
    ('travel-mug',      200),
    ('french-press',    100),
    ('hand-grinder',     50),
    ('kettle',            5)
), adjusted AS (
    UPDATE stock s SET adjustments = 1
    FROM stock t LEFT JOIN seed USING (product_id)
    WHERE s.product_id = t.product_id AND (seed.product_id IS NULL OR t.available + t.reserved <> seed.available)
    RETURNING s.product_id, s.available, s.available + s.reserved - coalesce(seed.available, 0) AS delta
)
INSERT INTO outbox (message_id, topic, key, payload, headers)
SELECT gen_random_uuid()::text, 'stock', convert_to(product_id, 'UTF8'), convert_to(
    '{"event_type":"STOCK_ADJUSTED","product_id":' || to_json(product_id)
    || ',"sequence":1,"available_delta":' || delta || ',"available":' || available
    || ',"timestamp":"' || to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '"}', 'UTF8'),
    '{"event_type":"STOCK_ADJUSTED","event_version":"1","content-type":"application/json"}'
FROM adjusted;

-- +goose Down
ALTER TABLE stock DROP COLUMN adjustments;

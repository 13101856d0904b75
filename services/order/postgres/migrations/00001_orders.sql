-- +goose Up
CREATE TABLE products (
    product_id text   PRIMARY KEY CHECK (product_id ~ '^[A-Za-z0-9_-]{1,64}$'),
    name       text   NOT NULL,
    price      bigint NOT NULL CHECK (price >= 0) -- hundredths
);

CREATE TABLE orders (
    order_id    uuid        PRIMARY KEY, -- version 7: ascending in time, so "newest first" is by id
    customer_id text        NOT NULL,
    status      text        NOT NULL DEFAULT 'PENDING' CHECK (status IN ('PENDING', 'CONFIRMED', 'REJECTED')),
    reason      text        NOT NULL DEFAULT '',
    total       bigint      NOT NULL CHECK (total >= 0), -- hundredths
    trace_id    text        NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL
);

CREATE INDEX orders_by_status ON orders (status, order_id);
CREATE INDEX orders_by_customer ON orders (customer_id, order_id);

-- A line keeps the price at which it was sold. It does not reference products: the
-- order stays as it was when a product goes, and the hot rows of popular products
-- are not locked by every order.
CREATE TABLE order_items (
    order_id   uuid     NOT NULL REFERENCES orders ON DELETE CASCADE,
    line       smallint NOT NULL,
    product_id text     NOT NULL,
    quantity   integer  NOT NULL CHECK (quantity > 0),
    unit_price bigint   NOT NULL CHECK (unit_price >= 0), -- hundredths
    PRIMARY KEY (order_id, line)
);

-- Answers to POST /orders that may be asked for again. The answer is the order as it
-- was placed, so the order's id is all there is to keep.
CREATE TABLE idempotency_keys (
    key         text        PRIMARY KEY,
    fingerprint bytea       NOT NULL,
    order_id    uuid        NOT NULL,
    created_at  timestamptz NOT NULL
);

CREATE INDEX idempotency_keys_created_at ON idempotency_keys USING brin (created_at);

-- +goose Down
DROP TABLE idempotency_keys;
DROP TABLE order_items;
DROP TABLE orders;
DROP TABLE products;

-- +goose Up
CREATE TABLE stock (
    product_id text   PRIMARY KEY,
    available  bigint NOT NULL CHECK (available >= 0), -- the last line of defence; the code checks before
    reserved   bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0)
);

-- One decision per order, whatever number of messages ask for it.
CREATE TABLE reservations (
    order_id    text        PRIMARY KEY,
    customer_id text        NOT NULL,
    status      text        NOT NULL CHECK (status IN ('RESERVED', 'REJECTED')),
    decided_at  timestamptz NOT NULL,

    -- of the first line that could not be served; empty when reserved
    reason      text        NOT NULL DEFAULT '',
    product_id  text        NOT NULL DEFAULT '',
    wanted      bigint      NOT NULL DEFAULT 0,
    available   bigint      NOT NULL DEFAULT 0,
    CHECK ((status = 'REJECTED') = (reason <> ''))
);

-- What was asked for; it is taken from stock when the reservation is RESERVED.
CREATE TABLE reservation_items (
    order_id   text   NOT NULL REFERENCES reservations ON DELETE CASCADE,
    product_id text   NOT NULL,
    quantity   bigint NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, product_id)
);

-- +goose Down
DROP TABLE reservation_items;
DROP TABLE reservations;
DROP TABLE stock;

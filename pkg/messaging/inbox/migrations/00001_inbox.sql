-- +goose Up
CREATE TABLE inbox (
    consumer_group text        NOT NULL,
    message_id     text        NOT NULL,
    processed_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer_group, message_id)
);

CREATE INDEX inbox_processed_at ON inbox USING brin (processed_at);

-- +goose Down
DROP TABLE inbox;

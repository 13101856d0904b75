-- +goose Up
-- A row is a message that a group has put aside: it waits in the retry topic, or is a
-- dead letter. What comes later with the same key must not overtake it.
CREATE TABLE parked_messages (
    consumer_group  text        NOT NULL,
    topic           text        NOT NULL,
    topic_partition integer     NOT NULL,
    record_offset   bigint      NOT NULL,
    -- A key may be larger than what an index takes, and need not be text.
    key_hash        bytea       NOT NULL,
    message_id      text        NOT NULL,
    aside           text        NOT NULL CHECK (aside IN ('retry', 'dead_letter')),
    not_before      timestamptz,
    parked_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer_group, topic, topic_partition, record_offset)
);

CREATE INDEX parked_messages_key
    ON parked_messages (consumer_group, topic, topic_partition, key_hash, aside, record_offset);

-- +goose Down
DROP TABLE parked_messages;

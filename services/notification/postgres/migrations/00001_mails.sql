-- +goose Up
CREATE TABLE mails (
	order_id   text        NOT NULL,
	kind       text        NOT NULL CHECK (kind IN ('CONFIRMATION', 'OUTCOME')),
	recipient  text        NOT NULL,
	message_id text        NOT NULL, -- the mail's Message-ID, not the record's
	sent_at    timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (order_id, kind)
);

-- +goose Down
DROP TABLE mails;

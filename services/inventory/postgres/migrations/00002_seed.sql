-- +goose Up
INSERT INTO stock (product_id, available) VALUES
    ('coffee-beans',   1000),
    ('green-tea',       800),
    ('lotus-tea',       300),
    ('phin-filter',     500),
    ('paper-filters',  2000),
    ('condensed-milk', 1500),
    ('travel-mug',      200),
    ('french-press',    100),
    ('hand-grinder',     50),
    ('kettle',            5);

-- +goose Down
DELETE FROM stock;

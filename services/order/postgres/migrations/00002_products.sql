-- +goose Up
INSERT INTO products (product_id, name, price) VALUES
    ('coffee-beans',   'Coffee beans, 500 g',        1250),
    ('green-tea',      'Green tea, 100 g',            690),
    ('lotus-tea',      'Lotus tea, 100 g',            980),
    ('phin-filter',    'Phin filter, steel',          450),
    ('paper-filters',  'Paper filters, 100 pieces',   320),
    ('condensed-milk', 'Condensed milk, 380 g',       210),
    ('travel-mug',     'Travel mug, 350 ml',         1890),
    ('french-press',   'French press, 1 l',          2790),
    ('hand-grinder',   'Hand grinder',               3990),
    ('kettle',         'Gooseneck kettle',           5490);

-- +goose Down
DELETE FROM products;

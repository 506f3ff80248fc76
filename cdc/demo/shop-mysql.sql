CREATE DATABASE shop;
USE shop;

CREATE TABLE customers (
    id         bigint AUTO_INCREMENT PRIMARY KEY,
    email      varchar(120) NOT NULL UNIQUE,
    name       varchar(80) NOT NULL,
    tier       enum('basic', 'silver', 'gold') NOT NULL DEFAULT 'basic',
    address    json NOT NULL,
    interests  set('kitchen', 'garden', 'books', 'light', 'travel', 'music') NOT NULL DEFAULT '',
    newsletter boolean NOT NULL DEFAULT false,
    born       date,
    created_at timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
);

CREATE TABLE products (
    sku        varchar(20) PRIMARY KEY,
    name       varchar(80) NOT NULL,
    price      decimal(10,2) NOT NULL CHECK (price > 0),
    stock      int NOT NULL CHECK (stock >= 0),
    weight_kg  float,
    tags       json NOT NULL,
    details    json,
    changed_at timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
);

CREATE TABLE orders (
    id          char(36) PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers (id),
    status      enum('new', 'paid', 'shipped', 'delivered', 'cancelled') NOT NULL DEFAULT 'new',
    total       decimal(12,2) NOT NULL,
    payment     json,
    placed_at   timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    shipped_at  timestamp(6) NULL,
    note        text
);

CREATE TABLE order_items (
    order_id   char(36) NOT NULL REFERENCES orders (id),
    line       smallint NOT NULL,
    sku        varchar(20) NOT NULL,
    quantity   int NOT NULL CHECK (quantity > 0),
    unit_price decimal(10,2) NOT NULL,
    PRIMARY KEY (order_id, line)
);

"""A sample shop: its tables, its first rows, and the people who keep changing them. The same seed does the same."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from importlib import resources
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from cdc.core.errors import SourceConnectionError

DATABASE: Final = "shop"
SCHEMA: Final = "shop"
CUSTOMERS: Final = 40
PRODUCTS: Final = 25
OPEN_ORDERS: Final = 60
"""Beyond so many orders the oldest are put away, so that a demo left alone does not grow."""

_FIRST = ("Ada", "Björn", "Chidi", "Dorota", "Emi", "Farid", "Grace", "Hōkū", "Inés", "Jamal", "Kateryna", "Li")
_LAST = ("Abara", "Brandt", "Çelik", "Dubois", "Eriksen", "Fonseca", "Górska", "Haddad", "Ito", "Jansen", "Kovács")
_CITIES = (("Porto", "PT"), ("Kraków", "PL"), ("Leipzig", "DE"), ("Utrecht", "NL"), ("Malmö", "SE"), ("東京", "JP"))
_THINGS = ("kettle", "lamp", "rug", "teapot", "bookend", "clock", "basket", "mirror", "stool", "vase")
_LOOKS = ("copper", "blue", "oak", "folding", "tiny", "striped", "glass", "woven")
_INTERESTS = ("kitchen", "garden", "books", "light", "travel", "music")
_NOTES = ("Please ring twice.", "Leave it with the neighbours.", "It's a gift 🎁", None, None, None)

Cursor = psycopg.Cursor[tuple[Any, ...]]


class Shop:
    """What happens in the shop; each action is the statements of one transaction."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._numbers = iter(range(1, 1_000_000_000))

    def stock_up(self, cursor: Cursor) -> None:
        """Tables and first rows."""
        cursor.execute(resources.files(__package__).joinpath("shop.sql").read_text(encoding="utf-8").encode())
        for _ in range(CUSTOMERS):
            self.sign_up(cursor)
        for _ in range(PRODUCTS):
            self.list_product(cursor)
        for _ in range(10):
            self.place_order(cursor)

    def actions(self) -> Iterator[Callable[[Cursor], None]]:
        """What happens, one after the other, for ever: first one of each kind, then as it comes."""
        yield from (self.place_order, self.pay, self.change_price, self.abandon_cart, self.cancel_order, self.sign_up,
                    self.ship, self.move_customer, self.rename_product, self.place_order, self.pay, self.close_account)
        kinds, weights = zip(*(
            (self.place_order, 30), (self.pay, 20), (self.ship, 15), (self.deliver, 10), (self.cancel_order, 6),
            (self.put_away_orders, 6), (self.change_price, 8), (self.restock, 6), (self.sign_up, 3),
            (self.move_customer, 6), (self.close_account, 3), (self.rename_product, 2), (self.abandon_cart, 4),
        ))  # fmt: skip
        while True:
            yield from self._random.choices(kinds, weights)

    def pause_s(self, rate: float) -> float:
        """Time to the next action at *rate* a second: people do not come like clockwork."""
        return min(3 / rate, self._random.expovariate(rate))

    # Customers

    def sign_up(self, cursor: Cursor) -> None:
        first, last, number = self._random.choice(_FIRST), self._random.choice(_LAST), next(self._numbers)
        cursor.execute(
            "INSERT INTO shop.customers (email, name, tier, address, interests, newsletter, born) "
            "VALUES (%s, %s, %s::shop.tier, %s, %s, %s, date '1950-01-01' + %s)",
            (f"{first}.{last}.{number}@example.com".lower(), f"{first} {last}",
             self._random.choice(("basic", "basic", "silver", "gold")), Jsonb(self._address()),
             self._random.sample(_INTERESTS, self._random.randint(0, 3)), self._random.random() < 0.5,
             self._random.randrange(20_000)))

    def move_customer(self, cursor: Cursor) -> None:
        cursor.execute("UPDATE shop.customers SET address = %s, newsletter = NOT newsletter WHERE id = %s",
                       (Jsonb(self._address()), self._one(cursor, "SELECT id FROM shop.customers ORDER BY id")))

    def close_account(self, cursor: Cursor) -> None:
        """Of somebody without orders, so that nothing hangs in the air."""
        cursor.execute("DELETE FROM shop.customers WHERE id = %s", (self._one(
            cursor, "SELECT id FROM shop.customers c WHERE NOT EXISTS "
                    "(SELECT FROM shop.orders WHERE customer_id = c.id) ORDER BY id"),))

    # Products

    def list_product(self, cursor: Cursor) -> None:
        look, thing, number = self._random.choice(_LOOKS), self._random.choice(_THINGS), next(self._numbers)
        cursor.execute(
            "INSERT INTO shop.products (sku, name, price, stock, weight_kg, tags, details) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (f"{thing[:3].upper()}-{number:04}", f"{look} {thing}", Decimal(self._random.randint(300, 20_000)) / 100,
             self._random.randint(50, 200), round(self._random.uniform(0.1, 9), 2), [look, thing],
             Jsonb({"colour": look, "size_cm": [self._random.randint(5, 90) for _ in range(3)]})))

    def change_price(self, cursor: Cursor) -> None:
        cursor.execute("UPDATE shop.products SET price = round(price * %s, 2), changed_at = now() WHERE sku = %s",
                       (Decimal(self._random.choice(("0.90", "0.95", "1.05", "1.12"))), self._any_sku(cursor)))

    def restock(self, cursor: Cursor) -> None:
        cursor.execute("UPDATE shop.products SET stock = stock + 100 WHERE sku = "
                       "(SELECT sku FROM shop.products ORDER BY stock, sku LIMIT 1)")

    def rename_product(self, cursor: Cursor) -> None:
        """A new key: consumers see the old one deleted and the new one created."""
        old = self._any_sku(cursor)
        new = f"{str(old)[:3]}-{next(self._numbers):04}"
        cursor.execute("UPDATE shop.products SET sku = %s WHERE sku = %s", (new, old))

    # Orders

    def place_order(self, cursor: Cursor) -> None:
        """One transaction over three tables."""
        order = uuid.UUID(int=self._random.getrandbits(128), version=4)
        cursor.execute("SELECT sku, price FROM shop.products WHERE stock >= 5 ORDER BY sku")
        products = cursor.fetchall()
        chosen = self._random.sample(products, min(len(products), self._random.randint(1, 3)))
        lines = [(number, sku, self._random.randint(1, 4), price) for number, (sku, price) in enumerate(chosen, 1)]
        cursor.execute(
            "INSERT INTO shop.orders (id, customer_id, total, note) VALUES (%s, %s, %s, %s)",
            (order, self._one(cursor, "SELECT id FROM shop.customers ORDER BY id"),
             sum((quantity * price for _, _, quantity, price in lines), Decimal(0)), self._random.choice(_NOTES)))
        for number, sku, quantity, price in lines:
            cursor.execute("INSERT INTO shop.order_items VALUES (%s, %s, %s, %s, %s)",
                           (order, number, sku, quantity, price))
            cursor.execute("UPDATE shop.products SET stock = stock - %s WHERE sku = %s", (quantity, sku))

    def pay(self, cursor: Cursor) -> None:
        card = f"{self._random.randint(0, 9999):04}"
        cursor.execute("UPDATE shop.orders SET status = 'paid', payment = %s WHERE id = %s",
                       (Jsonb({"method": "card", "last4": card}), self._oldest_order(cursor, "new")))

    def ship(self, cursor: Cursor) -> None:
        cursor.execute("UPDATE shop.orders SET status = 'shipped', shipped_at = now() WHERE id = %s",
                       (self._oldest_order(cursor, "paid"),))

    def deliver(self, cursor: Cursor) -> None:
        cursor.execute("UPDATE shop.orders SET status = 'delivered' WHERE id = %s",
                       (self._oldest_order(cursor, "shipped"),))

    def cancel_order(self, cursor: Cursor) -> None:
        order = self._oldest_order(cursor, "new")
        cursor.execute("UPDATE shop.products p SET stock = stock + i.quantity FROM shop.order_items i "
                       "WHERE i.order_id = %s AND i.sku = p.sku", (order,))
        cursor.execute("DELETE FROM shop.order_items WHERE order_id = %s", (order,))
        cursor.execute("UPDATE shop.orders SET status = 'cancelled' WHERE id = %s", (order,))

    def put_away_orders(self, cursor: Cursor) -> None:
        """What is done or too old, a few at a time."""
        cursor.execute(
            "SELECT id FROM shop.orders WHERE status IN ('cancelled', 'delivered') "
            "OR (SELECT count(*) FROM shop.orders) > %s ORDER BY placed_at, id LIMIT 6", (OPEN_ORDERS,))
        orders = [row[0] for row in cursor.fetchall()]
        cursor.execute("DELETE FROM shop.order_items WHERE order_id = ANY(%s)", (orders,))
        cursor.execute("DELETE FROM shop.orders WHERE id = ANY(%s)", (orders,))

    def abandon_cart(self, cursor: Cursor) -> None:
        """An order that is thought better of: its transaction is rolled back, and nobody ever sees it."""
        self.place_order(cursor)
        raise psycopg.Rollback

    def _oldest_order(self, cursor: Cursor, status: str) -> Any:
        cursor.execute("SELECT id FROM shop.orders WHERE status = %s::shop.order_status ORDER BY placed_at, id LIMIT 1",
                       (status,))
        row = cursor.fetchone()
        return row[0] if row else None

    def _any_sku(self, cursor: Cursor) -> Any:
        return self._one(cursor, "SELECT sku FROM shop.products ORDER BY sku")

    def _one(self, cursor: Cursor, query: str) -> Any:
        """One of what *query* finds, None if that is nothing."""
        rows = cursor.execute(query.encode()).fetchall()
        return self._random.choice(rows)[0] if rows else None

    def _address(self) -> dict[str, Any]:
        city, country = self._random.choice(_CITIES)
        street = f"{self._random.choice(_LAST)} street {self._random.randint(1, 99)}"
        return {"street": street, "city": city, "country": country}


class Workload:
    """The shop's life on a connection of its own, in a thread of its own, until stopped."""

    def __init__(self, dsn: str, shop: Shop, rate: float) -> None:
        """*rate* is transactions a second."""
        self.error: Exception | None = None
        self._dsn = dsn
        self._shop = shop
        self._rate = rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shop", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def check(self) -> None:
        """Raises SourceConnectionError when it has ended by itself."""
        if self.error is not None:
            raise SourceConnectionError("The shop's own connection to the demo's PostgreSQL failed.") from self.error

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def _run(self) -> None:
        try:
            with connect(self._dsn, "demo shop") as connection:
                for act in self._shop.actions():
                    if self._stop.wait(self._shop.pause_s(self._rate)):
                        return
                    with connection.transaction(), connection.cursor() as cursor:
                        act(cursor)
        except psycopg.Error as exc:
            self.error = exc


def open_shop(dsn: Callable[[str], str], seed: int) -> Shop:
    """Make the database with its first rows. Raises SourceConnectionError."""
    shop = Shop(seed)
    try:
        with connect(dsn("postgres"), "demo") as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} STRATEGY file_copy").format(sql.Identifier(DATABASE)))
        with connect(dsn(DATABASE), "demo") as connection, connection.transaction(), connection.cursor() as cursor:
            shop.stock_up(cursor)
    except psycopg.OperationalError as exc:
        raise SourceConnectionError("The demo's PostgreSQL went away while its shop was being set up.") from exc
    return shop


def connect(dsn: str, application_name: str) -> psycopg.Connection[tuple[Any, ...]]:
    return psycopg.connect(dsn, autocommit=True, application_name=application_name)

"""A sample shop: its tables, its first rows, and the people who change them. The same seed gives the same actions."""

from __future__ import annotations

import itertools
import random
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from decimal import Decimal
from importlib import resources
from typing import Any, Final, NamedTuple, Protocol

from cdc.core.errors import SourceConnectionError

DATABASE: Final = "shop"
"""Also the name of its PostgreSQL schema, so that its tables have the same names on every server."""
CUSTOMERS: Final = 40
PRODUCTS: Final = 25
OPEN_ORDERS: Final = 60
"""If there are more orders than this, the oldest are deleted, so that a long demo does not grow."""

_FIRST = ("Ada", "Björn", "Chidi", "Dorota", "Emi", "Farid", "Grace", "Hōkū", "Inés", "Jamal", "Kateryna", "Li")
_LAST = ("Abara", "Brandt", "Çelik", "Dubois", "Eriksen", "Fonseca", "Górska", "Haddad", "Ito", "Jansen", "Kovács")
_CITIES = (("Porto", "PT"), ("Kraków", "PL"), ("Leipzig", "DE"), ("Utrecht", "NL"), ("Malmö", "SE"), ("東京", "JP"))
_THINGS = ("kettle", "lamp", "rug", "teapot", "bookend", "clock", "basket", "mirror", "stool", "vase")
_LOOKS = ("copper", "blue", "oak", "folding", "tiny", "striped", "glass", "woven")
_INTERESTS = ("kitchen", "garden", "books", "light", "travel", "music")
_NOTES = ("Please ring twice.", "Leave it with the neighbours.", "It's a gift 🎁", None, None, None)



class Cursor(Protocol):
    """The part of DB-API that is used here."""

    def execute(self, query: Any, parameters: Any = None, /) -> Any: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> Any: ...


class Dialect(NamedTuple):
    """The things that differ between databases: the file with the tables, and how the driver takes values."""

    schema: str
    document: Callable[[Any], Any]
    tags: Callable[[list[str]], Any]
    interests: Callable[[list[str]], Any]
    uuid: Callable[[uuid.UUID], Any]


class Rollback(Exception):
    """Raised to roll a transaction back."""


@contextmanager
def transaction(connection: Any) -> Iterator[Any]:
    """A cursor whose statements are one transaction. `Rollback` ends it without an error."""
    try:
        with connection.cursor() as cursor:
            yield cursor
    except Rollback:
        connection.rollback()
    else:
        connection.commit()


class Shop:
    """The actions in the shop; each is one transaction."""

    def __init__(self, seed: int, dialect: Dialect, first: int = 1) -> None:
        """*first*: the number of the first customer or product; those that are in the tables have lower ones."""
        self._random = random.Random(seed)
        self._numbers = itertools.count(first)
        self._dialect = dialect

    def schema(self) -> bytes:
        """The statements that make its tables."""
        return resources.files(__package__).joinpath(self._dialect.schema).read_bytes()

    def stock_up(self, cursor: Cursor) -> None:
        """The first rows."""
        for _ in range(CUSTOMERS):
            self.sign_up(cursor)
        for _ in range(PRODUCTS):
            self.list_product(cursor)
        for _ in range(10):
            self.place_order(cursor)

    def actions(self) -> Iterator[Callable[[Cursor], None]]:
        """The actions, one after the other, without end: first one of each kind, then at random."""
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
        """Seconds until the next action, at random, with *rate* actions per second on average."""
        return min(3 / rate, self._random.expovariate(rate))

    # Customers

    def sign_up(self, cursor: Cursor) -> None:
        first, last, number = self._random.choice(_FIRST), self._random.choice(_LAST), next(self._numbers)
        cursor.execute(
            "INSERT INTO shop.customers (email, name, tier, address, interests, newsletter, born) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (f"{first}.{last}.{number}@example.com".lower(), f"{first} {last}",
             self._random.choice(("basic", "basic", "silver", "gold")), self._address(),
             self._dialect.interests(self._random.sample(_INTERESTS, self._random.randint(0, 3))),
             self._random.random() < 0.5, date(1950, 1, 1) + timedelta(self._random.randrange(20_000))))

    def move_customer(self, cursor: Cursor) -> None:
        cursor.execute("UPDATE shop.customers SET address = %s, newsletter = NOT newsletter WHERE id = %s",
                       (self._address(), self._one(cursor, "SELECT id FROM shop.customers ORDER BY id")))

    def close_account(self, cursor: Cursor) -> None:
        """Delete a customer without orders, so that no order loses its customer."""
        cursor.execute("DELETE FROM shop.customers WHERE id = %s", (self._one(
            cursor, "SELECT id FROM shop.customers c WHERE NOT EXISTS "
                    "(SELECT 1 FROM shop.orders WHERE customer_id = c.id) ORDER BY id"),))

    # Products

    def list_product(self, cursor: Cursor) -> None:
        look, thing, number = self._random.choice(_LOOKS), self._random.choice(_THINGS), next(self._numbers)
        cursor.execute(
            "INSERT INTO shop.products (sku, name, price, stock, weight_kg, tags, details) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s)",
            (f"{thing[:3].upper()}-{number:04}", f"{look} {thing}", Decimal(self._random.randint(300, 20_000)) / 100,
             self._random.randint(50, 200), round(self._random.uniform(0.1, 9), 2), self._dialect.tags([look, thing]),
             self._dialect.document({"colour": look, "size_cm": [self._random.randint(5, 90) for _ in range(3)]})))

    def change_price(self, cursor: Cursor) -> None:
        cursor.execute("UPDATE shop.products SET price = round(least(price, 500) * %s, 2), "
                       "changed_at = CURRENT_TIMESTAMP(6) WHERE sku = %s",
                       (Decimal(self._random.choice(("0.90", "0.95", "1.05", "1.12"))), self._any_sku(cursor)))

    def restock(self, cursor: Cursor) -> None:
        cursor.execute("SELECT sku FROM shop.products ORDER BY stock, sku LIMIT 1")
        cursor.execute("UPDATE shop.products SET stock = stock + 100 WHERE sku = %s", cursor.fetchone())

    def rename_product(self, cursor: Cursor) -> None:
        """Change a key: consumers see a delete of the old key and a create of the new one."""
        old = self._any_sku(cursor)
        new = f"{str(old)[:3]}-{next(self._numbers):04}"
        cursor.execute("UPDATE shop.products SET sku = %s WHERE sku = %s", (new, old))

    # Orders

    def place_order(self, cursor: Cursor) -> None:
        """One transaction over three tables."""
        order = self._dialect.uuid(uuid.UUID(int=self._random.getrandbits(128), version=4))
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
                       (self._dialect.document({"method": "card", "last4": card}), self._oldest_order(cursor, "new")))

    def ship(self, cursor: Cursor) -> None:
        cursor.execute("UPDATE shop.orders SET status = 'shipped', shipped_at = CURRENT_TIMESTAMP(6) WHERE id = %s",
                       (self._oldest_order(cursor, "paid"),))

    def deliver(self, cursor: Cursor) -> None:
        cursor.execute("UPDATE shop.orders SET status = 'delivered' WHERE id = %s",
                       (self._oldest_order(cursor, "shipped"),))

    def cancel_order(self, cursor: Cursor) -> None:
        order = self._oldest_order(cursor, "new")
        cursor.execute("SELECT quantity, sku FROM shop.order_items WHERE order_id = %s ORDER BY line", (order,))
        for item in cursor.fetchall():
            cursor.execute("UPDATE shop.products SET stock = stock + %s WHERE sku = %s", item)
        cursor.execute("DELETE FROM shop.order_items WHERE order_id = %s", (order,))
        cursor.execute("UPDATE shop.orders SET status = 'cancelled' WHERE id = %s", (order,))

    def put_away_orders(self, cursor: Cursor) -> None:
        """Remove a few orders that are finished or too old."""
        cursor.execute(
            "SELECT id FROM shop.orders WHERE status IN ('cancelled', 'delivered') "
            "OR (SELECT count(*) FROM shop.orders) > %s ORDER BY placed_at, id LIMIT 6", (OPEN_ORDERS,))
        orders = cursor.fetchall()
        for order in orders:
            cursor.execute("DELETE FROM shop.order_items WHERE order_id = %s", order)
        for order in orders:
            cursor.execute("DELETE FROM shop.orders WHERE id = %s", order)

    def abandon_cart(self, cursor: Cursor) -> None:
        """An order that is cancelled before it is placed: the transaction is rolled back and gives no event."""
        self.place_order(cursor)
        raise Rollback

    def _oldest_order(self, cursor: Cursor, status: str) -> Any:
        cursor.execute("SELECT id FROM shop.orders WHERE status = %s ORDER BY placed_at, id LIMIT 1", (status,))
        row = cursor.fetchone()
        return row[0] if row else None

    def _any_sku(self, cursor: Cursor) -> Any:
        return self._one(cursor, "SELECT sku FROM shop.products ORDER BY sku")

    def _one(self, cursor: Cursor, query: str) -> Any:
        """One of the rows of *query*, at random; None if there is no row."""
        cursor.execute(query)
        rows = cursor.fetchall()
        return self._random.choice(rows)[0] if rows else None

    def _address(self) -> Any:
        city, country = self._random.choice(_CITIES)
        street = f"{self._random.choice(_LAST)} street {self._random.randint(1, 99)}"
        return self._dialect.document({"street": street, "city": city, "country": country})


class Workload:
    """Runs the shop's actions on its own connection, in its own thread, until it is stopped."""

    def __init__(self, connect: Callable[[], Any], errors: type[Exception], shop: Shop, rate: float,
                 title: str) -> None:
        """*connect*: opens a DB-API connection.
        *errors*: the exceptions of that connection.
        *rate*: transactions per second.
        *title*: the server's name in messages."""
        self.error: Exception | None = None
        self._connect = connect
        self._errors = errors
        self._shop = shop
        self._rate = rate
        self._title = title
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shop", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def check(self) -> None:
        """Raises SourceConnectionError if the shop has ended on its own."""
        if self.error is not None:
            said = f"The shop's own connection to the demo's {self._title} failed."
            raise SourceConnectionError(said) from self.error

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def _run(self) -> None:
        try:
            with self._connect() as connection:
                for act in self._shop.actions():
                    if self._stop.wait(self._shop.pause_s(self._rate)):
                        return
                    with transaction(connection) as cursor:
                        act(cursor)
        except self._errors as exc:
            self.error = exc

"""How configuration is declared, read and hidden. Flat text in, checked values out; it knows no plugin."""

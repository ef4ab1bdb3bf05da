"""How the small model that ships with tvr was trained; run once, by a developer."""

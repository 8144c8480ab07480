"""Tests speak to the two ends: a scripted origin (`origin`) and a real or raw client (`rawclient`)."""

"""The webhook that points pods at the cache and lets them trust it; everything but `handler` and `rulebook` is pure.

The way of a review: `review.parse` -> `rules.match` -> `injection.inject` -> `review.respond`.
"""

"""HTTP: application factory, middleware, dependencies, problem responses, pagination, idempotency."""

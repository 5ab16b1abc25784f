# The gateway as one image: locked wheels, compiled bytecode, no build tools, not root.
#
# The base is pinned by tag, so each build gets the security fixes of Python 3.11 and Debian. To fix the base itself,
# pin it by digest in both FROM lines: `docker buildx imagetools inspect python:3.11-slim-bookworm` shows the digest;
# write python:3.11-slim-bookworm@sha256:… and renew it by hand.

FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /app
# The packages come first: they seldom change, so this layer usually comes from the cache.
COPY requirements.txt ./
RUN python -m venv --without-pip /venv \
 && python -m pip --python /venv/bin/python install \
    --no-deps --require-hashes --only-binary=:all: --no-compile -r requirements.txt
COPY main.py ./
COPY app ./app
# Compiled once, here: a cold start compiles nothing and compares no time stamps.
RUN /venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /venv/lib /app

FROM python:3.11-slim-bookworm
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONFAULTHANDLER=1 \
    HOST=0.0.0.0 \
    PORT=8080
# pip and the like are of no use to a service, only to an intruder. data/ holds the files of a self-hosted gateway by
# default; on Cloud Run it stays empty.
RUN python -m pip uninstall --yes --quiet --root-user-action=ignore setuptools wheel pip \
 && useradd --system --uid 10001 --no-create-home --home-dir /app --shell /usr/sbin/nologin gateway \
 && install --directory --owner=10001 --mode=0700 /app/data
COPY --from=build /venv /venv
COPY --from=build /app /app
WORKDIR /app
USER 10001
EXPOSE 8080
# For Docker and Compose; Cloud Run has probes of its own (deploy/lib) and does not read this.
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 \
    CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PORT') or 8080), timeout=3); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]
# serve replaces itself with gunicorn, which then gets the platform's SIGTERM.
CMD ["python", "-m", "app", "serve"]

# One process, two ports, no root, no shell: what writes, writes to mounted volumes.
# Pin the base by its digest: --build-arg PYTHON=docker.io/library/python:3.13-slim@sha256:... The official images are
# built with profile-guided optimisation. Only what Nezha loads is taken from it (image/assemble.py).
ARG PYTHON=docker.io/library/python:3.13-slim
FROM ${PYTHON} AS build
ARG SOURCE_DATE_EPOCH=0
# [tracing] takes in what traces need
ARG EXTRAS=
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONHASHSEED=0 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_COMPILE=1
RUN command -v strip || (apt-get update && apt-get install --yes --no-install-recommends binutils)
WORKDIR /src
COPY image image
COPY setup.py setup.cfg README.md LICENSE ./
COPY nezha nezha
RUN python -m venv /opt/nezha \
 && /opt/nezha/bin/python -m pip install --constraint image/constraints.txt ".${EXTRAS}" \
 && mkdir /image && python image/assemble.py /opt/nezha /image

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Nezha" \
      org.opencontainers.image.description="Machine-learning jobs on Kubernetes read object stores at local-disk speed, unchanged" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /image /
ENV PATH=/opt/nezha/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PYTHONUTF8=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 10001:10001
EXPOSE 8080 8443
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s \
  CMD ["/opt/nezha/bin/python", "-S", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8080, timeout=2); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["/opt/nezha/bin/nezha"]
CMD ["serve"]

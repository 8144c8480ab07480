# One process, two ports, no root, no shell: everything that writes, writes to mounted volumes.
ARG PYTHON=python:3.13-slim
FROM ${PYTHON} AS build
WORKDIR /src
RUN python -m venv /opt/nezha
COPY setup.py setup.cfg README.md LICENSE ./
COPY nezha nezha
RUN /opt/nezha/bin/python -m pip install --no-cache-dir --disable-pip-version-check . \
 && /opt/nezha/bin/python -m pip uninstall --yes --quiet pip \
 && find /opt/nezha -name tests -type d -prune -exec rm -rf {} +
# 120 MB of generated classes that Nezha does not use: it speaks JSON with the API server
RUN cd /opt/nezha/lib/python3*/site-packages/kubernetes \
 && find client/api client/models aio/client/api aio/client/models -type f ! -name '__init__.*' -delete \
 && /opt/nezha/bin/python -c "from kubernetes import config; from kubernetes.aio.client import ApiClient"

FROM ${PYTHON}
COPY --from=build /opt/nezha /opt/nezha
ENV PATH=/opt/nezha/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
EXPOSE 8080 8443
ENTRYPOINT ["/opt/nezha/bin/nezha"]
CMD ["serve"]

# syntax=docker/dockerfile:1

# The wheel is built in one stage and installed in a second one, so that the image holds neither sources nor build tools.
FROM python:3.13-slim AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY operator ./operator
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.13-slim AS install
# The daily export needs pyarrow, for Parquet and for object stores. Without it the image is about 170 MB smaller.
ARG EXTRAS=parquet
COPY constraints.txt /constraints.txt
COPY --from=wheel /wheels /wheels
RUN python -m venv /opt/gpucost \
    && /opt/gpucost/bin/pip install --no-cache-dir --no-compile --constraint /constraints.txt "$(echo /wheels/*.whl)[${EXTRAS}]" \
    && /opt/gpucost/bin/python -m compileall -q /opt/gpucost/lib \
    && /opt/gpucost/bin/pip uninstall --yes --quiet pip

FROM python:3.13-slim
LABEL org.opencontainers.image.title="gpucost" \
      org.opencontainers.image.description="Kubernetes operator that makes the cost of GPUs visible and acts on it" \
      org.opencontainers.image.licenses="Apache-2.0"
# Byte code is compiled above: nothing is written at run time but the ledger in /var/lib/gpucost and files in /tmp.
ENV PATH=/opt/gpucost/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
COPY --from=install /opt/gpucost /opt/gpucost
RUN install -d -o 65532 -g 65532 /var/lib/gpucost
USER 65532:65532
EXPOSE 8080 9443
ENTRYPOINT ["gpucost"]
CMD ["operator"]

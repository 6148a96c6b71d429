# The image of every service of the platform: Airflow, the workers, the watch, the command line.
#     docker build --tag adventureworks:0.1.0 .

FROM python:3.12.13-slim-bookworm@sha256:8a7e7cc04fd3e2bd787f7f24e22d5d119aa590d429b50c95dfe12b3abe52f48b AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /opt/adventureworks
RUN python -m venv /opt/venv
# First what seldom changes: the packages, exactly those of the lock.
COPY requirements.lock ./
RUN /opt/venv/bin/python -m pip install --require-hashes --no-deps --only-binary=:all: -r requirements.lock
COPY pyproject.toml README.md ./
COPY src ./src
COPY contracts ./contracts
COPY deploy/image ./deploy/image
RUN /opt/venv/bin/python -m pip install --no-deps --no-index --no-build-isolation --editable . \
    # The lock holds the tools of the tests too.
    && /opt/venv/bin/python deploy/image/unneeded.py adventureworks > /tmp/unneeded \
    && xargs /opt/venv/bin/python -m pip uninstall --yes --quiet < /tmp/unneeded \
    && /opt/venv/bin/python -m compileall -q src contracts

FROM python:3.12.13-slim-bookworm@sha256:8a7e7cc04fd3e2bd787f7f24e22d5d119aa590d429b50c95dfe12b3abe52f48b
# tini passes signals on and buries orphans: a worker may finish its tasks when it is asked to end.
# Debian removes a version of a package when it publishes the next, so tini is not pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    # Kubernetes' chart starts its probes through this name, as Airflow's own image has it.
    && ln -s /usr/bin/env /entrypoint \
    && useradd --uid 50000 --gid 0 --home-dir /var/lib/adventureworks --no-create-home --shell /usr/sbin/nologin airflow \
    # For any user of group 0: the one who runs the containers may be another than the image's.
    && mkdir -p /var/lib/adventureworks/airflow /data/logs /data/reports /data/source \
    && chown -R 50000:0 /var/lib/adventureworks /data \
    && chmod -R u=rwX,g=rwX,o= /var/lib/adventureworks /data
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/adventureworks /opt/adventureworks
COPY checks /opt/adventureworks/checks
COPY dags /opt/adventureworks/dags
# However closed the clone was that it is built from.
RUN chmod -R a+rX /opt/adventureworks
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/var/lib/adventureworks \
    LOGNAME=airflow \
    ADVENTUREWORKS_HOME=/var/lib/adventureworks \
    ADVENTUREWORKS_REPORTS_URL=file:///data/reports \
    AIRFLOW_HOME=/var/lib/adventureworks/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/adventureworks/dags \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    AIRFLOW__LOGGING__BASE_LOG_FOLDER=/data/logs \
    AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY=/data/logs/dag-processor
WORKDIR /opt/adventureworks
VOLUME ["/data/logs", "/data/reports"]
USER 50000:0
ENTRYPOINT ["/usr/bin/tini", "--"]
CMD ["adventureworks", "doctor"]

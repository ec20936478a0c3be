# One image: the web server by default, a worker or a one-off command where the command says so (compose.yaml).

FROM python:3.11-slim AS packages
RUN python -m venv /opt/venv
COPY requirements.txt constraints.txt ./
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check -r requirements.txt

FROM python:3.11-slim
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin app
COPY --from=packages /opt/venv /opt/venv
WORKDIR /app
COPY . .
# The settings want every secret to be set; none of these values is kept or used.
RUN SECRET_KEY=for-this-command-only ALLOWED_HOSTS=localhost OPENAI_API_KEY=- \
    DATABASE_URL=postgres://-/- REDIS_URL=redis://- \
    python manage.py collectstatic --noinput
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]
CMD ["python", "manage.py", "daphne", "--bind", "0.0.0.0", "--port", "8000"]

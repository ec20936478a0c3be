"""Tokens of rest_framework.authtoken were stored in plain text: hash them over, so that they end and cannot be read."""

import hashlib
from datetime import timedelta

from django.conf import settings
from django.db import migrations
from django.utils import timezone
from django.utils.crypto import salted_hmac

OLD_TABLE = "authtoken_token"
SESSION_HASH_SALT = "django.contrib.auth.models.AbstractBaseUser.get_session_auth_hash"


def take_over(apps, schema_editor):
    """Hash the plain tokens, valid from now on like new ones, and drop their table and its permissions."""
    connection = schema_editor.connection
    if OLD_TABLE not in connection.introspection.table_names():
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT key, user_id, password FROM authtoken_token JOIN auth_user ON auth_user.id = user_id"
        )
        now = timezone.now()
        apps.get_model("accounts", "ApiToken").objects.bulk_create(
            apps.get_model("accounts", "ApiToken")(
                hash=hashlib.sha256(key.encode()).hexdigest(),
                user_id=user_id,
                ending=key[-4:],
                # What User.get_session_auth_hash() returns; models in migrations have no methods.
                fingerprint=salted_hmac(SESSION_HASH_SALT, password, algorithm="sha256").hexdigest(),
                expires_at=now + timedelta(days=settings.API_TOKEN_DAYS),
            )
            for key, user_id, password in cursor.fetchall()
        )
        cursor.execute("DROP TABLE authtoken_token")
        cursor.execute("DELETE FROM django_migrations WHERE app = 'authtoken'")
    apps.get_model("contenttypes", "ContentType").objects.filter(app_label="authtoken").delete()


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_tokens"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]

    operations = [migrations.RunPython(take_over, migrations.RunPython.noop)]

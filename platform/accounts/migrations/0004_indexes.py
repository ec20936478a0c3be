from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # indexes are built beside reads and writes

    dependencies = [
        ('accounts', '0003_hash_plain_tokens'),
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='wsticket',
            index=models.Index(fields=['expires_at'], name='tickets_by_end'),
        ),
        # For searches by the beginning of a name, in any case.
        migrations.RunSQL(
            'CREATE INDEX CONCURRENTLY IF NOT EXISTS people_by_name ON auth_user (upper(username::text) text_pattern_ops)',
            'DROP INDEX IF EXISTS people_by_name',
        ),
    ]

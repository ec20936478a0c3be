from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # indexes are built beside reads and writes

    dependencies = [
        ('conversations', '0004_help_texts'),
        ('courses', '0001_initial'),
        ('jobs', '0005_help_texts'),
        ('tutors', '0002_help_texts'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='draft',
            index=models.Index(fields=['-created_at'], name='newest_drafts'),
        ),
    ]

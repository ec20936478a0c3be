import django.contrib.postgres.indexes
import django.contrib.postgres.search
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # indexes are built beside reads and writes

    dependencies = [
        ('conversations', '0005_indexes'),
        ('landing', '0001_initial'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='contactrequest',
            index=models.Index(fields=['is_answered', '-created_at'], name='requests_to_answer'),
        ),
        AddIndexConcurrently(
            model_name='contactrequest',
            index=django.contrib.postgres.indexes.GinIndex(django.contrib.postgres.search.SearchVector('email', 'name', 'message', config='simple'), name='words_of_requests'),
        ),
    ]

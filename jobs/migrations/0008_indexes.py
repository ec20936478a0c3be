from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # indexes are built beside reads and writes

    dependencies = [
        ('jobs', '0007_spent'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='aijob',
            index=models.Index(condition=models.Q(('status__in', ['pending', 'running'])), fields=['owner'], name='active_jobs_of_owner'),
        ),
        AddIndexConcurrently(
            model_name='aijob',
            index=models.Index(fields=['visitor'], name='jobs_of_visitor', opclasses=['varchar_pattern_ops']),
        ),
        AddIndexConcurrently(
            model_name='aijob',
            index=models.Index(fields=['subject'], name='jobs_of_subject'),
        ),
        AddIndexConcurrently(
            model_name='aijob',
            index=models.Index(fields=['kind', '-created_at'], name='jobs_of_kind'),
        ),
        AddIndexConcurrently(
            model_name='aijob',
            index=models.Index(fields=['request_id'], name='jobs_of_request'),
        ),
        AddIndexConcurrently(
            model_name='aijob',
            index=models.Index(condition=models.Q(('status__in', ['failed', 'cancelled'])), fields=['status', '-created_at'], name='badly_ended_jobs'),
        ),
        AddIndexConcurrently(
            model_name='aijob',
            index=models.Index(condition=models.Q(('error_code', ''), _negated=True), fields=['error_code', '-created_at'], name='jobs_with_an_error'),
        ),
        AddIndexConcurrently(
            model_name='reading',
            index=models.Index(fields=['-at'], name='newest_readings'),
        ),
        AddIndexConcurrently(
            model_name='reading',
            index=models.Index(fields=['reader_name'], name='readings_by_reader', opclasses=['varchar_pattern_ops']),
        ),
        AddIndexConcurrently(
            model_name='reading',
            index=models.Index(fields=['what'], name='readings_of_what', opclasses=['varchar_pattern_ops']),
        ),
    ]

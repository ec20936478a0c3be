
import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AiJob',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(max_length=40)),
                ('queue', models.CharField(max_length=20)),
                ('visitor', models.CharField(blank=True, help_text="An anonymous visitor's id, where no user owns it.", max_length=32)),
                ('subject', models.CharField(blank=True, help_text='What the job is about. One active job per kind and subject.', max_length=80)),
                ('payload', models.JSONField(default=dict, help_text="Ids of what to work on, never the person's text.")),
                ('result', models.JSONField(blank=True, null=True)),
                ('status', models.CharField(choices=[('pending', 'Pending'), ('running', 'Running'), ('completed', 'Completed'), ('failed', 'Failed'), ('cancelled', 'Cancelled')], default='pending', max_length=10)),
                ('attempt', models.PositiveIntegerField(default=0, help_text='Runs so far. Every write of a run carries it.')),
                ('failures', models.PositiveSmallIntegerField(default=0, help_text='Runs that ended with a passing failure.')),
                ('crashes', models.PositiveSmallIntegerField(default=0, help_text='Runs whose worker vanished.')),
                ('max_attempts', models.PositiveSmallIntegerField(default=5, help_text='Failures after which it is given up.')),
                ('cancel_requested', models.BooleanField(default=False)),
                ('error_code', models.CharField(blank=True, max_length=40)),
                ('error_message', models.TextField(blank=True, help_text='What the person is told.')),
                ('error_detail', models.TextField(blank=True, help_text='What staff need to know. Never carries secrets.')),
                ('retryable', models.BooleanField(default=False, help_text='Whether asking again may help.')),
                ('worker', models.CharField(blank=True, max_length=80)),
                ('run_after', models.DateTimeField(blank=True, help_text='Not to be run before.', null=True)),
                ('enqueued_at', models.DateTimeField(blank=True, help_text='When it was last handed to Redis.', null=True)),
                ('lease_until', models.DateTimeField(blank=True, help_text='The worker has been lost if this passes.', null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('idempotency_key', models.CharField(blank=True, max_length=255, null=True)),
                ('request_hash', models.CharField(blank=True, max_length=64)),
                ('owner', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='ai_jobs', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'AI job',
                'ordering': ['-created_at'],
            },
        ),
        migrations.CreateModel(
            name='AiCall',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('attempt', models.PositiveIntegerField()),
                ('purpose', models.CharField(max_length=40)),
                ('model', models.CharField(max_length=80)),
                ('outcome', models.CharField(choices=[('ok', 'Ok'), ('failed', 'Failed'), ('cancelled', 'Cancelled')], max_length=10)),
                ('error_code', models.CharField(blank=True, max_length=40)),
                ('error_detail', models.TextField(blank=True)),
                ('upstream_id', models.CharField(blank=True, help_text="The upstream's x-request-id.", max_length=80)),
                ('input_tokens', models.PositiveIntegerField(default=0)),
                ('cached_tokens', models.PositiveIntegerField(default=0)),
                ('output_tokens', models.PositiveIntegerField(default=0)),
                ('estimated', models.BooleanField(default=False, help_text='The upstream reported no usage; tokens are our estimate.')),
                ('cost', models.DecimalField(blank=True, decimal_places=8, help_text='US dollars; empty where no price is known.', max_digits=14, null=True)),
                ('first_token_ms', models.PositiveIntegerField(blank=True, null=True)),
                ('duration_ms', models.PositiveIntegerField()),
                ('started_at', models.DateTimeField()),
                ('job', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='calls', to='jobs.aijob')),
            ],
            options={
                'verbose_name': 'upstream call',
                'ordering': ['started_at'],
            },
        ),
        migrations.AddIndex(
            model_name='aijob',
            index=models.Index(condition=models.Q(('status', 'pending')), fields=['run_after'], name='pending_by_run_after'),
        ),
        migrations.AddIndex(
            model_name='aijob',
            index=models.Index(condition=models.Q(('status', 'running')), fields=['lease_until'], name='running_by_lease'),
        ),
        migrations.AddIndex(
            model_name='aijob',
            index=models.Index(fields=['-created_at'], name='newest_jobs'),
        ),
        migrations.AddConstraint(
            model_name='aijob',
            constraint=models.UniqueConstraint(condition=models.Q(('status__in', ['pending', 'running']), models.Q(('subject', ''), _negated=True)), fields=('kind', 'subject'), name='one_active_job_per_subject'),
        ),
        migrations.AddConstraint(
            model_name='aijob',
            constraint=models.UniqueConstraint(condition=models.Q(('idempotency_key__isnull', False)), fields=('owner', 'idempotency_key'), name='idempotency_key_per_owner'),
        ),
        migrations.AddConstraint(
            model_name='aijob',
            constraint=models.UniqueConstraint(condition=models.Q(('idempotency_key__isnull', False), models.Q(('visitor', ''), _negated=True)), fields=('visitor', 'idempotency_key'), name='idempotency_key_per_visitor'),
        ),
    ]

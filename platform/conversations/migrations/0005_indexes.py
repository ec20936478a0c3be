from django.conf import settings
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False  # indexes are built beside reads and writes

    dependencies = [
        ('conversations', '0004_help_texts'),
        ('courses', '0001_initial'),
        ('jobs', '0005_help_texts'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='conversation',
            index=models.Index(fields=['visitor'], name='conversations_by_visitor', opclasses=['varchar_pattern_ops']),
        ),
        RemoveIndexConcurrently(
            model_name='conversation',
            name='conversations_of_visitor',
        ),
        AddIndexConcurrently(
            model_name='conversation',
            index=models.Index(fields=['-updated_at'], name='newest_conversations'),
        ),
        AddIndexConcurrently(
            model_name='conversation',
            index=models.Index(fields=['surface', '-updated_at'], name='conversations_of_surface'),
        ),
        AddIndexConcurrently(
            model_name='conversation',
            index=models.Index(condition=models.Q(('owner__isnull', True)), fields=['updated_at'], name='visitors_conversations_by_age'),
        ),
        AddIndexConcurrently(
            model_name='message',
            index=models.Index(condition=models.Q(('role', 'user')), fields=['-created_at', '-id'], name='newest_questions'),
        ),
        AddIndexConcurrently(
            model_name='message',
            index=models.Index(condition=models.Q(('rating', ''), _negated=True), fields=['rating', '-id'], name='rated_answers'),
        ),
    ]

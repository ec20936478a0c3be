
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0002_history_and_totals'),
    ]

    operations = [
        migrations.AddField(
            model_name='aicall',
            name='governor_ms',
            field=models.PositiveIntegerField(default=0, help_text="Waited for the upstream's rate before the call."),
        ),
    ]

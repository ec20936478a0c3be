
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('conversations', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='message',
            name='rating',
            field=models.CharField(blank=True, choices=[('up', 'Up'), ('down', 'Down')], help_text='What the person thinks of an answer.', max_length=4),
        ),
        migrations.AddField(
            model_name='message',
            name='reason',
            field=models.CharField(blank=True, help_text="Why it was rated so, in the person's words.", max_length=500),
        ),
        migrations.AddField(
            model_name='message',
            name='suggestions',
            field=models.JSONField(blank=True, default=list, help_text='Questions that may follow an answer.'),
        ),
    ]

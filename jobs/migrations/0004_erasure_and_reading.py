
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0003_governor_wait'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='aijob',
            options={'ordering': ['-created_at'], 'permissions': [('read_text', "Can read people's questions and answers")], 'verbose_name': 'AI job'},
        ),
        migrations.AddField(
            model_name='aijob',
            name='is_erased',
            field=models.BooleanField(default=False, help_text='Its text was deleted for good (jobs/erasure.py).'),
        ),
        migrations.CreateModel(
            name='Reading',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('reader_name', models.CharField(help_text='It stays when the account goes.', max_length=150)),
                ('what', models.CharField(help_text='The job or conversation, by its id.', max_length=80)),
                ('at', models.DateTimeField(auto_now_add=True)),
                ('reader', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='readings', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-at'],
            },
        ),
    ]


import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Persona',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.SlugField(help_text='A short name for programs. Leave it as it is once learners have this persona.', max_length=40, unique=True, validators=[django.core.validators.RegexValidator('^unknown$', 'This key means that no persona fits.', inverse_match=True)])),
                ('name', models.CharField(help_text='As learners read it.', max_length=80)),
                ('description', models.TextField(help_text='Who learns like this. Learners are sorted by it, and read it.')),
                ('tone', models.CharField(help_text='How to talk to them, such as: friendly, plain words, no jargon.', max_length=300)),
                ('pace', models.CharField(help_text='How fast to go, such as: small steps, an example for each.', max_length=300)),
                ('is_active', models.BooleanField(default=True, help_text='Nobody is given a persona that is not active.')),
            ],
            options={
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='Questionnaire',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('version', models.PositiveIntegerField(blank=True, editable=False, null=True, unique=True)),
                ('title', models.CharField(max_length=120)),
                ('intro', models.TextField(blank=True, help_text='Why learners are asked, in a sentence or two.')),
                ('published_at', models.DateTimeField(blank=True, editable=False, null=True)),
            ],
            options={
                'ordering': [models.OrderBy(models.F('version'), descending=True, nulls_first=True)],
            },
        ),
        migrations.CreateModel(
            name='Profile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('answers', models.JSONField(help_text='[{key, question, answer}], with the question as it was asked.')),
                ('confidence', models.FloatField(blank=True, help_text='0 to 1. Empty: decided by a person.', null=True)),
                ('reasons', models.JSONField(blank=True, default=list, help_text='[{question, quote, meaning}]')),
                ('source', models.CharField(choices=[('model', 'Model'), ('staff', 'Staff'), ('learner', 'Learner')], default='model', help_text='Who decided.', max_length=10)),
                ('personas_version', models.CharField(blank=True, max_length=16)),
                ('prompt_version', models.CharField(blank=True, max_length=16)),
                ('model', models.CharField(blank=True, max_length=80)),
                ('revision', models.PositiveIntegerField(default=1, help_text='Counts what people did with it: a classification that began before is dropped.')),
                ('classified_at', models.DateTimeField(blank=True, null=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('persona', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='profiles', to='personas.persona')),
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='learning_profile', to=settings.AUTH_USER_MODEL)),
                ('questionnaire', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='profiles', to='personas.questionnaire')),
            ],
            options={
                'verbose_name': 'learning profile',
            },
        ),
        migrations.CreateModel(
            name='Question',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveSmallIntegerField(default=0)),
                ('key', models.SlugField(help_text='A short name for programs, such as: time-a-week.', max_length=40)),
                ('text', models.CharField(max_length=300)),
                ('options', models.TextField(blank=True, help_text='One answer a line to choose from. Empty: learners write freely.')),
                ('is_required', models.BooleanField(default=True)),
                ('questionnaire', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='questions', to='personas.questionnaire')),
            ],
            options={
                'ordering': ['position', 'pk'],
                'constraints': [models.UniqueConstraint(fields=('questionnaire', 'key'), name='question_key_in_questionnaire')],
            },
        ),
    ]

"""The engine: accepts AI work, runs it in workers, tells the person, and never loses or doubles it.

Surfaces import its face, and nothing else:

    kinds       JobKind, register(), and Run, which a kind's work is handed
    accept      the 202 answer to a call that creates a job
    submission  how a job enters the engine
    limits      who may have how many jobs, and spend how much
    models      AiJob, the row that is the truth; AiCall, what each upstream call cost
    actions     cancel, retry and erase jobs
    disclosure  who may read what people said
    retention   what is deleted by age
    tasks       run_job, the name that stands in Redis

Behind it are private wings. They import each other downwards only:

    api         HTTP views, the WebSocket, server-sent events
    admin       jobs and circuit breakers in the Django admin
    worker      the rqworker process
    monitoring  /metrics and checks
    events      what people are told: typed, published, kept, shown once
    lifecycle   the states of a job
    backends    Postgres, Redis, RQ and OpenAI
"""

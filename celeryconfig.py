"""Celery's configuration as data: queues, routes, limits, timetable. Addresses and keys come from ATRA's settings.

The reasons for what departs from Celery's defaults stand beside each value; "trap N" is a row of the table of traps in
docs/operations.md.
"""

from kombu import Queue

QUEUES = ("repair", "urgent", "warroom", "scout", "distill", "maintenance", "gpu")

# Nothing is declared on the fly: a misspelt queue is an error, not a queue that nobody reads.
task_queues = [Queue(name, routing_key=name) for name in QUEUES]
task_create_missing_queues = False
task_default_queue = "maintenance"
task_routes = {
    "self_repair.receive": {"queue": "maintenance"},
    "self_repair.*": {"queue": "repair"},
    "migrate_target.*": {"queue": "repair"},
    "author.*": {"queue": "repair"},
    "delivery.*": {"queue": "repair"},
    "war_room.*": {"queue": "warroom"},
    "watch.*": {"queue": "maintenance"},
    "scout.*": {"queue": "scout"},
    "cache.*": {"queue": "maintenance"},
    "ask.*": {"queue": "repair"},
    "distill.*": {"queue": "distill"},
    "brain.watch": {"queue": "maintenance"},
    "brain.*": {"queue": "distill"},
    "training.train": {"queue": "gpu"},
    "training.*": {"queue": "distill"},
    "precache.*": {"queue": "scout"},
    "maintenance.*": {"queue": "maintenance"},
}

# JSON only, everywhere (trap 35). With ATRA_MESSAGE_KEY the serializer below is replaced by its signed form.
task_serializer = "json"
result_serializer = "json"
event_serializer = "json"
accept_content = ["json"]
result_accept_content = ["json"]

# Messages are hints: a late-acknowledged copy finds its step settled or leased and ends quietly. The visibility timeout
# is longer than the longest task (trap 5); recovery is the sweeper's work. A half-open connection is noticed (trap 3).
broker_transport_options = {
    "visibility_timeout": 7200,
    "socket_timeout": 15,
    "socket_connect_timeout": 5,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "unacked_restore_interval": 10,
    "unacked_restore_throttle": 1,
    "global_keyprefix": "atra:",
}
broker_connection_retry_on_startup = True  # trap 27
broker_connection_max_retries = None
task_acks_late = True
task_retry_on_worker_lost = True  # bounded by max_retries, unlike reject_on_worker_lost (trap 11)
task_reject_on_worker_lost = False
task_acks_on_failure = True
task_acks_on_timeout = True
worker_deduplicate_successful_tasks = True
result_extended = True

# One message at a time, since one task is one slow call (trap 20).
worker_prefetch_multiplier = 1
worker_max_tasks_per_child = 200  # memory growth (trap 22)
worker_hijack_root_logger = False
worker_soft_shutdown_timeout = 10
task_soft_time_limit = 3500
task_time_limit = 3600

# What Flower shows.
task_track_started = True
worker_send_task_events = True
task_send_sent_event = True

result_expires = 86400
result_chord_expires = 86400  # longer than any chord takes (trap 13)
redis_socket_timeout = 15
redis_socket_connect_timeout = 5
redis_socket_keepalive = True
redis_backend_health_check_interval = 10
result_backend_always_retry = True
result_backend_max_retries = 10

# Two beats do not fire twice, and a dead one is replaced within a minute (trap 33).
timezone = "UTC"
beat_scheduler = "redbeat.RedBeatScheduler"
redbeat_key_prefix = "atra:beat:"
redbeat_lock_timeout = 60
beat_max_loop_interval = 5
beat_schedule = {
    "sweep": {"task": "maintenance.sweep", "schedule": 10.0, "options": {"expires": 10.0}},
    "beat-alive": {"task": "maintenance.tick", "schedule": 10.0, "options": {"expires": 10.0}},
    "tidy-cache": {"task": "cache.tidy", "schedule": 600.0, "options": {"expires": 590.0}},
    "judge-cache": {"task": "cache.judge", "schedule": 300.0, "options": {"expires": 290.0}},
    "precache": {"task": "precache.hourly", "schedule": 900.0, "options": {"expires": 890.0}},
    "distill": {"task": "distill.start", "schedule": 3600.0, "options": {"expires": 3500.0}},
    "watch-brain": {"task": "brain.watch", "schedule": 60.0, "options": {"expires": 55.0}},
    "poll-feeds": {"task": "scout.poll", "schedule": 60.0, "options": {"expires": 55.0}},
}

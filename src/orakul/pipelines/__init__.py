"""Pipelines: what data pipelines say when they end (TDTP over Redis), watched, judged by rules, kept as tasks."""

from orakul.pipelines.message import PipelineRun, read_message
from orakul.pipelines.polling import poll_pipeline_state
from orakul.pipelines.rules import Broken, Rule, read_rules
from orakul.pipelines.watcher import PipelineWatcher

__all__ = ["Broken", "PipelineRun", "PipelineWatcher", "Rule", "poll_pipeline_state", "read_message", "read_rules"]

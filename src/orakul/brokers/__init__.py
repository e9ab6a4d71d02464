"""Brokers: each fulfils `delivery.broker.Broker`, in one file; joined by an entry point named after its addresses."""

"""The one address: signs people in, and passes requests on to the services."""

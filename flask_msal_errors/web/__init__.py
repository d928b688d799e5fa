"""What the app's views and people meet: decorators, routes, links, forms, pages."""

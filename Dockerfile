# A worker. docker-compose.yaml starts three of them, and sets up their database with the same image.
FROM node:24-slim

ENV NODE_ENV=production
WORKDIR /app

# Alone, so that a change of the code does not install everything again. Without install scripts: they
# bring another Node and prepare the embedded PostgreSQL, and this image has the one and no use for the other.
# Not without optional packages: the Claude Code CLI is one.
COPY package.json package-lock.json .npmrc ./
COPY patches ./patches
RUN npm ci --omit=dev --ignore-scripts && npx patch-package && npm cache clean --force

COPY tsconfig.json *.ts ./
COPY src ./src

# The code stays root's. The worker writes what it compiles; the CLI writes to /home/node and /tmp.
RUN mkdir .workflow && chown node:node .workflow
USER node

# Not through npm or tsx: this process gets the signals itself, and hands its work back.
CMD ["node", "--import", "tsx", "index.ts", "worker"]

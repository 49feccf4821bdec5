const { attacks } = await import(process.argv[2]!);
for (const a of attacks) {
  const t = Date.now();
  console.log(a.name, '| off', await a.off(), '| on', await a.on(), Date.now() - t, 'ms');
}
